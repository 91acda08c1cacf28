import { stayConnected } from "./stay_connected.js";

const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const input = form.querySelector("input");
const query = new URLSearchParams(location.search);
const room = query.get("room") || "green";
const user = query.get("user") || (sessionStorage.id ??= `guest-${Math.random().toString(36).slice(2, 8)}`);
const url = `${location.origin.replace("http", "ws")}/ws/room/${encodeURIComponent(room)}?${new URLSearchParams({ user })}`;
let users = {};

const connection = stayConnected(() => new WebSocket(url), (data) => take(JSON.parse(data)), (name, { reason }) => {
  if (name !== "open") {
    status.textContent = name === "closed" ? `Closed: ${reason}` : "Connecting…";
  }
});

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
  connection.send(JSON.stringify({ status: input.value.trim() || null }));
});
document.getElementById("title").textContent = `Room ${room}`;
