import { connect } from "/_client/rollcall.js";

const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const input = form.querySelector("input");
const query = new URLSearchParams(location.search);
const name = query.get("room") || "green";
const user = query.get("user") || (sessionStorage.id ??= `guest-${Math.random().toString(36).slice(2, 8)}`);
const client = connect(`/ws/room/${encodeURIComponent(name)}?${new URLSearchParams({ user })}`);
const room = client.presence(`room:${name}`);

client.on("status", (now, { reason }) => {
  if (now !== "open") {
    status.textContent = now === "closed" ? `Closed: ${reason}` : "Connecting…";
  }
});

room.on("sync", () => {
  status.textContent = `${room.count} here. Open ?room=blue for another room.`;
  list.replaceChildren(...Array.from(room.users, ([id, { metas }]) => {
    const item = document.createElement("li");
    const doing = document.createElement("small");
    doing.textContent = metas[0].status ?? metas[0].state;
    item.append(id === user ? `${metas[0].name} (you)` : metas[0].name, doing);
    return item;
  }));
});

form.addEventListener("submit", (e) => {
  e.preventDefault();
  client.send({ status: input.value.trim() || null });
});
document.getElementById("title").textContent = `Room ${name}`;
