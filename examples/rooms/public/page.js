const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const input = form.querySelector("input");
const query = new URLSearchParams(location.search);
const room = query.get("room") || "green";
const user = query.get("user") || (sessionStorage.id ??= `guest-${Math.random().toString(36).slice(2, 8)}`);
let users = {};
let socket;

function connect(attempt = 0) {
  const path = `/ws/room/${encodeURIComponent(room)}?${new URLSearchParams({ user })}`;
  socket = new WebSocket(location.origin.replace("http", "ws") + path);
  socket.onopen = () => (attempt = 0);
  socket.onmessage = (e) => take(JSON.parse(e.data));
  socket.onclose = (e) => {
    status.textContent = e.code === 4403 ? e.reason : "Reconnecting…";
    if (e.code !== 4403) {
      setTimeout(connect, Math.random() * Math.min(20000, 500 * 2 ** attempt), attempt + 1);
    }
  };
}

// The whole client side of presence: a state replaces everybody, joins replace, leaves delete.
function take(frame) {
  if (frame.event === "presence_state") {
    users = frame.payload;
  } else if (frame.event === "presence_diff") {
    Object.assign(users, frame.payload.joins);
    Object.keys(frame.payload.leaves).forEach((id) => delete users[id]);
  }
  show();
}

function show() {
  status.textContent = `${Object.keys(users).length} here. Open ?room=blue for another room.`;
  list.replaceChildren(...Object.entries(users).map(([id, { metas }]) => {
    const item = document.createElement("li");
    const doing = document.createElement("small");
    doing.textContent = metas[0].status ?? metas[0].state;
    item.append(id === user ? `${metas[0].name} (you)` : metas[0].name, doing);
    return item;
  }));
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ status: input.value.trim() || null }));
  }
});
document.getElementById("title").textContent = `Room ${room}`;
connect();
