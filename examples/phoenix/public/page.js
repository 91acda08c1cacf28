// phoenix.js, as npm has it: npm install has put it here.
import { Presence, Socket } from "./phoenix.mjs";

const query = new URLSearchParams(location.search);
const name = query.get("name") || `guest ${Math.floor(Math.random() * 1000)}`;
const place = query.get("room") || "green";
const $ = (selector) => document.querySelector(selector);
const show = (text) => { $("#status").textContent = text; };
const line = (text) => Object.assign(document.createElement("li"), { textContent: text });

$("#title").textContent = `Room ${place}`;
const socket = new Socket("/socket");
socket.onError(() => show("Connecting again…"));
socket.connect();

const room = socket.channel(`room:${place}`, { name });
room.join()
  .receive("ok", () => show(`You are ${name}`))
  .receive("error", ({ reason }) => show(reason));

const presence = new Presence(room);
presence.onSync(() => {
  const users = presence.list((user, { metas }) => line(user + (metas.some((m) => m.writing) ? " is writing…" : "")));
  $("#users").replaceChildren(...users);
});

room.on("said", ({ from, text }) => $("#said").append(line(`${from}: ${text}`)));

const input = $("input");
let writing = false;
input.addEventListener("input", () => {
  if (writing === (input.value !== "")) return;
  writing = !writing;
  room.push("writing", { on: writing });
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  room.push("say", { text: input.value })
    .receive("ok", () => { input.value = ""; input.dispatchEvent(new Event("input")); })
    .receive("error", ({ reason }) => show(reason));
});
