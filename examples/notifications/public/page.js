const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const user = new URLSearchParams(location.search).get("user") || "ada";
const path = `/ws/notifications?user=${encodeURIComponent(user)}`;

function connect(attempt = 0) {
  const socket = new WebSocket(location.origin.replace("http", "ws") + path);
  socket.onopen = () => {
    attempt = 0;
    status.textContent = `Listening as ${user}. Open ?user=bob for somebody else.`;
  };
  socket.onmessage = (e) => show(JSON.parse(e.data));
  socket.onclose = (e) => {
    status.textContent = `Closed with ${e.code} ${e.reason}`;
    if (e.code !== 4400) {
      // Wait longer each time, and not all clients equally long.
      setTimeout(connect, Math.random() * Math.min(20000, 500 * 2 ** attempt), attempt + 1);
    }
  };
}

function show(note) {
  const item = document.createElement("li");
  const time = document.createElement("small");
  time.textContent = new Date(note.at * 1000).toLocaleTimeString();
  item.append(note.title, time);
  list.prepend(item);
}

// What a back end would do.
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  const input = form.querySelector("input");
  await fetch(`/notify/${encodeURIComponent(user)}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title: input.value }),
  });
  input.value = "";
});
connect();
