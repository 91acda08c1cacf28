// The page: what comes from the server goes to the views, what is done here goes to the server.
//
//   client ── presence ──────▶ people_view
//     ▲   └── message, lost ─▶ messages_view ◀── outbox (until they have come back)
//     └── message, earlier, typing, state, name, room

import { connect } from "/_client/rollcall.js";
import { Activity } from "./activity.js";
import { Comings } from "./comings.js";
import { dress } from "./dom.js";
import { Drawer } from "./drawer.js";
import { device, loadIdentity, newID, rename } from "./identity.js";
import { MessagesView } from "./messages_view.js";
import { Outbox } from "./outbox.js";
import { showPeople, summary, writingText } from "./people_view.js";
import { named, nameOf, people } from "./presence.js";
import { Rooms } from "./rooms.js";
import { Status } from "./status.js";
import { Writers, Writing } from "./typing.js";

const $ = (id) => document.getElementById(id);

let me = loadIdentity();
let present; // who is in the room, as the client keeps it
let entered = false; // that list has come since this page is in the room
let settled = false; // it has come on this connection
let missed = 0; // messages that came while the page was hidden
let asks = 0; // questions for earlier messages

const outbox = new Outbox();
const activity = new Activity((state) => {
  tell({ type: "state", state });
  if (state === "online") {
    missed = 0;
    showTitle();
  }
});
const writers = new Writers(() => showWho());
const writing = new Writing((frame) => tell(frame));
const messages = new MessagesView({
  list: $("messages"), scroller: $("scroller"), empty: $("empty"), newer: $("newer"), newerText: $("newer-text"),
  ask: (before) => (tell({ type: "earlier", ask: ++asks, before }) ? asks : 0),
});
const comings = new Comings((kind, id, name) => messages.coming(kind, id, name));
const drawer = new Drawer({
  panel: $("sidebar"), opener: $("open-sidebar"), closer: $("close-sidebar"), backdrop: $("backdrop"),
  behind: document.querySelector(".room"),
});
const rooms = new Rooms({ root: $("rooms"), form: $("new-room"), input: $("new-room-name"), onSwitch: enterRoom });
const status = new Status({
  root: $("connection"), text: $("connection-text"), seconds: $("connection-seconds"), button: $("connection-now"),
  onNow: () => client.reconnect(),
});
const client = connect(address, { resume: true });
client.on("status", phase);
client.on("message", take);
client.on("lost", ({ channel }) => channel === here() && messages.lost());

// address is asked for before each attempt, so it names the room and the state of that moment.
function address() {
  const { kind, client } = device();
  const query = new URLSearchParams({
    room: rooms.current, user: me.id, name: me.name, named_at: me.namedAt, device: kind, client, state: activity.state,
  });
  return `/ws/chat?${query}`;
}

// here is the channel of the room.
function here() {
  return `chat:${rooms.current}`;
}

// tell sends a frame, or gives false without a connection. Then the next address tells the state; messages have an outbox.
function tell(frame) {
  if (client.status !== "open") {
    return false;
  }
  client.send(frame);
  return true;
}

function phase(now, about) {
  status.show(now, about);
  document.body.classList.toggle("stale", now !== "open");
  if (now === "open") {
    return messages.opened();
  }
  settled = false;
  messages.closed();
  outbox.lost();
  writers.clear();
  writing.sent();
  showWho();
}

// take handles one frame of the server. Broadcasts of a room that this page has just left are late, and of no interest.
function take(frame, { channel, position }) {
  if (channel && channel !== here()) {
    return;
  }
  switch (frame?.event) {
    case "message":
      return takeMessage(frame, position);
    case "typing":
      return frame.user_id !== me.id && writers.set(frame.user_id, frame.on);
    case "earlier":
      return takeEarlier(frame);
    case "error": // only with --dev
      return console.error(`${frame.route}, line ${frame.line}: ${frame.message}`);
  }
}

// followPresence listens to who is in the room, until this page is in another one.
function followPresence() {
  entered = false;
  settled = false;
  present = client.presence(here());
  const ends = [
    present.on("join", (id, user) => entered && comings.joined(id, nameOf(user))),
    present.on("leave", (id, user) => {
      writers.set(id, false);
      if (entered) comings.left(id, nameOf(user));
    }),
    present.on("sync", () => {
      entered = settled = true;
      adoptName();
      showWho();
      flush();
    }),
  ];
  return () => ends.forEach((end) => end());
}

// users are those in the room; nobody until it is known.
function users() {
  return entered ? present.users : new Map();
}

// adoptName takes over the name that was chosen on another of this person's devices.
function adoptName() {
  const newest = users().has(me.id) ? named(users().get(me.id)) : null;
  if (newest && newest.named_at > me.namedAt) {
    takeName(newest.name, newest.named_at);
  }
}

function takeEarlier(frame) {
  for (const { data } of frame.messages ?? []) {
    if (data?.user_id === me.id) {
      outbox.done(data.id);
    }
  }
  messages.answer(frame, me.id);
}

function takeMessage(m, position) {
  writers.set(m.user_id, false);
  if (m.user_id === me.id) {
    outbox.done(m.id);
  }
  if (messages.add(m, position, me.id) && m.user_id !== me.id && document.visibilityState === "hidden") {
    missed++;
    showTitle();
  }
}

// flush sends what waits in the outbox, but not before what was missed has come: it may be among that.
function flush() {
  if (settled) {
    outbox.flush(rooms.current, tell);
  }
}

function showPending() {
  for (const m of outbox.in(rooms.current)) {
    messages.pending(m, me);
  }
}

function enterRoom(room, old) {
  drawer.close();
  if (room === old) {
    return;
  }
  writing.stop();
  writers.clear();
  comings.clear();
  messages.clear();
  unfollow();
  unfollow = followPresence();
  tell({ type: "room", room });
  messages.opened();
  showPending();
  showRoom();
  showWho();
}

function submit() {
  const text = $("text").value.trim();
  if (!text) {
    return;
  }
  const m = { id: newID(), room: rooms.current, text, at: Math.floor(Date.now() / 1000) };
  if (!outbox.add(m)) {
    return; // the text stays in the field
  }
  $("text").value = "";
  fitText();
  writing.sent();
  messages.pending(m, me);
  flush();
}

function takeName(name, at) {
  name = name.trim().replace(/\s+/g, " ");
  if (name && (name !== me.name || at)) {
    me = rename(me, name, at);
    tell({ type: "name", name: me.name, named_at: me.namedAt });
  }
  showMe();
}

function showRoom() {
  $("room-name").textContent = rooms.current;
  $("text").placeholder = `Message #${rooms.current}`;
  // The id goes along, so that a tab that is somebody else opens devices of that somebody.
  $("open-device").href = `?${new URLSearchParams({ room: rooms.current, user: me.id, name: me.name })}`;
  $("open-guest").href = `?${new URLSearchParams({ room: rooms.current, guest: "" })}`;
  showTitle();
}

function showTitle() {
  document.title = `${missed ? `(${missed}) ` : ""}#${rooms.current} · Rollcall chat`;
}

function showWho() {
  const list = people(users(), me.id);
  showPeople($("people"), list, writers);
  $("people-count").textContent = list.length;
  $("room-summary").textContent = list.length ? summary(list) : "";
  $("try").hidden = list.length > 1;
  const names = writers.ids().filter((id) => users().has(id)).map((id) => nameOf(users().get(id)));
  $("typing").hidden = names.length === 0;
  $("typing-text").textContent = writingText(names);
  const mine = settled && list.find((p) => p.me);
  $("my-state").textContent = mine ? stateText(mine) : "Not connected";
}

function stateText(p) {
  const state = p.state === "online" ? "Online" : "Away";
  return p.devices.length > 1 ? `${state} on ${p.devices.length} devices` : state;
}

function showMe() {
  $("my-name").value = me.name;
  dress($("my-avatar"), me.id, me.name);
  showRoom();
}

// fitText makes the field as high as its text, within limits, and the button know whether there is something to send.
function fitText() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 160)}px`;
  $("composer").querySelector("button").disabled = field.value.trim() === "";
}

$("composer").addEventListener("submit", (e) => {
  e.preventDefault();
  submit();
  $("text").focus();
});
$("text").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    submit();
  }
});
$("text").addEventListener("input", () => {
  fitText();
  writing.key($("text").value.trim() !== "");
});
$("me").addEventListener("submit", (e) => {
  e.preventDefault();
  $("my-name").blur();
});
$("my-name").addEventListener("blur", () => takeName($("my-name").value));
$("my-name").addEventListener("keydown", (e) => {
  if (e.key === "Escape") {
    e.stopPropagation();
    $("my-name").value = me.name;
    $("my-name").blur();
  }
});
let unfollow = followPresence();
setInterval(flush, 2000); // what got no answer is sent again
showPending();
showMe();
showWho();
fitText();
if (matchMedia("(hover: hover)").matches) {
  $("text").focus();
}
