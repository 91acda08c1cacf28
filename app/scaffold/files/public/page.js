import { stayConnected } from "./stay_connected.js";

const $ = (id) => document.getElementById(id);
const here = location.origin.replace("http", "ws");
let users = {}; // by id, as presence tells them
let room = null; // the connection, once we are in

// Before one comes in: how many are there, by scripts/demo/online.ws.lua.
const online = stayConnected(() => new WebSocket(`${here}/api/custom/demo/online?room=lobby`), (data) => {
  const { count } = JSON.parse(data);
  $("status").textContent = count === 0 ? "Nobody is here yet." : count === 1 ? "One person is here." : `${count} people are here.`;
}, (name) => {
  if (name === "waiting") $("status").textContent = "Connecting…";
});

$("enter").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = new FormData(e.target).get("name").trim();
  if (name && !room) comeIn(name);
});

// In the room: handlers/room.lua.
function comeIn(name) {
  online.end();
  const url = `${here}/ws/room/lobby?${new URLSearchParams({ name })}`;
  room = stayConnected(() => new WebSocket(url), (data) => take(JSON.parse(data), name), (state, { reason }) => {
    $("status").textContent = { open: `You are ${name}.`, closed: `Closed: ${reason}` }[state] ?? "Connecting…";
    $("say").querySelector("button").disabled = state !== "open";
  });
  $("enter").hidden = true;
  $("room").hidden = false;
  $("say").elements.text.focus();
}

// All there is to presence on a page: a state replaces everybody; joins replace, leaves delete.
function take(frame, name) {
  if (frame.event === "presence_state") {
    users = frame.payload;
  } else if (frame.event === "presence_diff") {
    Object.assign(users, frame.payload.joins);
    Object.keys(frame.payload.leaves).forEach((id) => delete users[id]);
  } else if (frame.event === "said") {
    $("messages").append(line(frame.text, frame.from));
    $("messages").lastElementChild.scrollIntoView({ block: "nearest" });
    return;
  }
  const devices = (n) => (n > 1 ? `${n} devices` : "");
  $("people").replaceChildren(...Object.entries(users).map(([id, { metas }]) =>
    line(id === name ? `${id} (you)` : id, devices(metas.length))));
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
  if (room.send(new FormData(e.target).get("text"))) e.target.reset();
});
