const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const [path, input] = [form.querySelector("select"), form.querySelector("input")];
let socket;

function connect() {
  socket?.close();
  const mine = (socket = new WebSocket(`${location.origin.replace("http", "ws")}${path.value}`));
  list.replaceChildren();
  mine.onopen = () => (status.textContent = `Connected to ${path.value}`);
  mine.onmessage = (e) => {
    const item = document.createElement("li");
    item.textContent = e.data; // never innerHTML: it would run what somebody else wrote
    list.prepend(item);
  };
  mine.onclose = (e) => {
    if (mine === socket) {
      status.textContent = `Closed with ${e.code} ${e.reason}. Choose a handler to connect again.`;
    }
  };
}

path.addEventListener("change", connect);
form.addEventListener("submit", (e) => {
  e.preventDefault();
  if (socket.readyState === WebSocket.OPEN && input.value) {
    socket.send(input.value);
    input.value = "";
  }
});
connect();
