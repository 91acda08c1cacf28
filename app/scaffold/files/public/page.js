import { connect } from "/_client/rollcall.js";

const $ = (id) => document.getElementById(id);
let client = null; // the connection to the room, once we are in

// Before one comes in: how many are there, by scripts/demo/online.ws.lua.
const online = connect("/api/custom/demo/online?room=lobby");
online.on("message", ({ count }) => {
  $("status").textContent = count === 0 ? "Nobody is here yet." : count === 1 ? "One person is here." : `${count} people are here.`;
});
online.on("status", (now) => {
  if (now === "waiting") $("status").textContent = "Connecting…";
});

$("enter").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = new FormData(e.target).get("name").trim();
  if (name && !client) comeIn(name);
});

// In the room: handlers/room.lua.
function comeIn(name) {
  online.close();
  client = connect(`/ws/room/lobby?${new URLSearchParams({ name })}`);
  client.on("status", (now, { reason }) => {
    $("status").textContent = { open: `You are ${name}.`, closed: `Closed: ${reason}` }[now] ?? "Connecting…";
  });
  client.on("message", (frame) => {
    if (frame.event !== "said") return;
    $("messages").append(line(frame.text, frame.from));
    $("messages").lastElementChild.scrollIntoView({ block: "nearest" });
  });
  const room = client.presence("room:lobby");
  room.on("sync", () => {
    const devices = (n) => (n > 1 ? `${n} devices` : "");
    $("people").replaceChildren(...Array.from(room.users, ([id, { metas }]) =>
      line(id === name ? `${id} (you)` : id, devices(metas.length))));
  });
  $("enter").hidden = true;
  $("room").hidden = false;
  $("say").elements.text.focus();
}

function line(text, note) {
  const item = document.createElement("li");
  const small = document.createElement("small");
  small.textContent = note;
  item.append(text, small);
  return item;
}

$("say").addEventListener("submit", (e) => {
  e.preventDefault();
  client.send(new FormData(e.target).get("text"));
  e.target.reset();
});
