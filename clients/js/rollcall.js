// rollcall-client: a connection to Rollcall that comes back, and who is there. Its rules are those of docs/protocol.md.
//
//              opened
//   connecting ──────▶ open       from any: close(), a close code for good ──▶ closed
//     ▲    │ in vain    │ lost              reconnect() ──▶ connecting
//     │    ▼            │
//     waiting ◀─────────┘

const FOR_GOOD = [1000, 1002, 1007, 1009]; // coming again would end in the same way; so it would from 4000 on
const LATER = [1008, 1011, 1013]; // the node wants to be left alone for some seconds
const EXPIRED = 4401;
const GOOD = 5000; // ms that a connection must have lived for attempts to be counted anew
const PATIENCE = 8000; // ms for an attempt
const PACE = 20; // ms for each message that has waited: 50 a second
const DAYS = 1e9; // ms; a timer of more than 24 days would end at once

// connect opens a connection and keeps it.
export function connect(url, options = {}) {
  return new Connection(url, options);
}

// wait says after how many ms to come back; null: not at all. attempt counts those in vain, from 0.
export function wait(code, attempt, random = Math.random()) {
  if (FOR_GOOD.includes(code) || (code >= 4000 && code !== EXPIRED)) return null;
  const later = LATER.includes(code);
  const longest = Math.min(20000, (later ? 3000 : 500) * 2 ** attempt);
  const shortest = later || attempt > 0 ? longest / 2 : 0;
  return shortest + random * (longest - shortest);
}

class Connection {
  #url;
  #options;
  #events = events("status", "message", "lost", "token");
  #status = "connecting";
  #link = newLink(); // what older ones still tell is of no interest
  #timer; // ends the attempt, begins the next one, or sends more of the outbox
  #attempts = 0; // in vain
  #unopened = 0; // attempts in a row that could not open a WebSocket
  #outbox = []; // {data, resolve, reject}
  #sentAt = 0; // when something of it was sent last
  #rooms = new Map(); // by channel
  #positions = new Map(); // by channel, the one heard last at the end
  #news = { // of the browser
    online: () => this.#status !== "open" && this.reconnect(),
    offline: () => this.#status === "open" && this.reconnect(), // the socket would notice only after minutes
    pageshow: (e) => e.persisted && this.reconnect(), // out of the browser's cache
  };
  on = this.#events.on;

  constructor(url, { WebSocket = globalThis.WebSocket, EventSource = globalThis.EventSource, outbox = 1000, ...more }) {
    if (!WebSocket) throw new Error("there is no WebSocket here: give one in the options");
    if (typeof url !== "function") absolute(url); // throws when it is none
    this.#url = url;
    this.#options = { WebSocket, EventSource, outbox, ...more };
    this.reconnect();
  }

  get status() {
    return this.#status;
  }

  presence(channel) {
    return this.#room(channel).presence;
  }

  send(value) {
    const sent = new Promise((resolve, reject) => {
      const data = encode(value);
      if (this.#status === "closed") throw new Error("the connection is closed");
      if (this.#status === "open" && this.#link.sse) throw new Error("this connection only hears");
      if (!this.#outbox.length && this.#ready()) {
        this.#link.socket.send(data);
        resolve();
      } else if (this.#outbox.length < this.#options.outbox) {
        this.#outbox.push({ data, resolve, reject });
      } else {
        throw new Error("too much waits to be sent");
      }
    });
    sent.catch(() => {}); // who does not wait does not want to know
    return sent;
  }

  reconnect() {
    this.#follow("addEventListener");
    this.#attempt(false);
  }

  close(code = 1000, reason = "") {
    if (this.#status === "closed") return;
    this.#link.socket?.close(code, reason);
    this.#end({ code, reason });
  }

  // ---- Coming and going.

  #follow(how) {
    for (const [name, act] of Object.entries(this.#news)) globalThis[how]?.(name, act);
  }

  // #turn ends what was, and begins what is next: link, or then after some ms.
  #turn(status, info, link, then, ms) {
    clearTimeout(this.#timer);
    clearTimeout(this.#link.renewal);
    if (then) this.#timer = setTimeout(then, ms);
    const { socket } = this.#link;
    this.#link = link;
    socket?.close();
    this.#status = status;
    this.#events.tell("status", status, info);
  }

  async #attempt(sse) {
    const { token, WebSocket, EventSource } = this.#options;
    const link = newLink(sse);
    this.#turn("connecting", {}, link, () => this.#lost(link, { reason: "no answer" }), PATIENCE);
    try {
      await null; // who has just connected listens first
      const secret = typeof token === "function" ? await token() : token;
      const url = this.#address(await (typeof this.#url === "function" ? this.#url() : this.#url), sse, secret);
      if (link !== this.#link) return;
      const socket = sse ? new EventSource(url) : new WebSocket(url, secret ? ["rollcall", secret] : []);
      link.socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => this.#opened(link, secret);
      socket.onmessage = ({ data }) => link === this.#link && this.#take(link, data);
      socket.onclose = (e) => this.#lost(link, e);
      socket.onerror = () => (sse || !link.opened) && this.#lost(link, {}); // of what never opened, some tell no close
    } catch (e) {
      this.#lost(link, { reason: String(e?.message ?? e) }); // no token, say
    }
  }

  #address(raw, sse, secret) {
    const url = absolute(raw);
    url.protocol = sse ? url.protocol.replace("ws", "http") : url.protocol.replace("http", "ws");
    url.hash = "";
    const resume = this.#options.resume && resumeParameter(this.#positions);
    if (resume) url.searchParams.set("resume", resume);
    if (sse && secret) url.searchParams.set("token", secret); // an EventSource has no other place for it
    return url.href;
  }

  #opened(link, secret) {
    if (link !== this.#link) return;
    clearTimeout(this.#timer);
    link.opened = Date.now();
    this.#sentAt = link.opened - PACE;
    this.#status = "open";
    if (link.sse) this.#giveUp("this connection only hears");
    else this.#unopened = 0;
    this.#planRenewal(link, secret);
    this.#events.tell("status", "open", { oneWay: link.sse });
    this.#flush();
  }

  #lost(link, { code = 1006, reason = "" }) {
    if (link !== this.#link) return;
    const { token, fallback, reconnectOn } = this.#options;
    if (link.opened && Date.now() - link.opened >= GOOD) this.#attempts = 0;
    const blocked = link.socket && !link.opened && !link.sse && ++this.#unopened >= 3;
    if (blocked && fallback === "sse") return this.#attempt(true);
    const wanted = code >= 4000 && code !== EXPIRED && reconnectOn?.(code);
    const hopeless = code === EXPIRED && typeof token === "string"; // it would be the same again
    const retryIn = hopeless ? null : wait(wanted ? 1006 : code, this.#attempts++);
    if (retryIn === null) this.#end({ code, reason });
    else this.#turn("waiting", { code, reason, retryIn }, newLink(), () => this.#attempt(false), retryIn);
  }

  #end(info) {
    this.#follow("removeEventListener");
    this.#giveUp("the connection is closed");
    this.#turn("closed", info, newLink());
  }

  // ---- The outbox.

  #ready() {
    const { socket, opened, sse } = this.#link;
    return opened && !sse && socket.readyState === 1;
  }

  // #flush sends as much as time allows: more than one message when a hidden page's timer was late.
  #flush() {
    if (!this.#outbox.length || !this.#ready()) return;
    const now = Date.now();
    const many = Math.min(1000, Math.max(PACE, now - this.#sentAt)) / PACE;
    const messages = this.#outbox.splice(0, many);
    this.#sentAt = now;
    for (const { data, resolve } of messages) {
      this.#link.socket.send(data);
      resolve();
    }
    this.#timer = setTimeout(() => this.#flush(), messages.length * PACE);
  }

  #giveUp(why) {
    for (const { reject } of this.#outbox.splice(0)) reject(new Error(why));
  }

  // ---- The token's renewal.

  #planRenewal(link, secret) {
    const { renew, token } = this.#options;
    const expires = renew && !link.sse && typeof token === "function" && expiry(secret);
    if (!expires) return;
    const left = expires - Date.now();
    this.#renewIn(link, left > 0 ? Math.max(1000, left * 0.75) : null);
  }

  // ms: null after a failure, or when a clock is wrong. Then it asks ever more rarely.
  #renewIn(link, ms) {
    clearTimeout(link.renewal);
    link.renewal = setTimeout(() => this.#renew(link), Math.min(ms ?? wait(1006, link.refused++), DAYS));
  }

  async #renew(link) {
    let secret;
    try {
      secret = await this.#options.token();
    } catch {} // as without one
    if (link !== this.#link || !this.#ready()) return;
    if (!secret) return this.#renewIn(link, null);
    link.socket.send(JSON.stringify({ event: "token", token: secret }));
    this.#planRenewal(link, secret);
  }

  // ---- What is heard.

  #take(link, data) {
    const value = decode(data);
    const { event, channel, position, ...frame } = Object(value);
    const placed = channel && position; // the channel keeps a history
    if (channel && /^presence_/.test(event)) {
      this.#room(channel).take(event, frame, link);
    } else if (channel && event === "message" && "data" in frame && this.#options.resume) {
      const missing = link.heard.get(channel) ?? 0;
      if (placed) this.#hear(link, channel, position, missing - 1);
      this.#events.tell("message", frame.data, { channel, position, missed: !!placed && missing > 0 });
    } else if (placed && (event === "joined" || event === "lost")) {
      // The position of a channel that was heard before may not have been told.
      const forgotten = this.#positions.has(channel) && !link.heard.has(channel) && !("recovered" in frame);
      this.#hear(link, channel, position, frame.missed);
      if (event === "lost" || frame.recovered === false || forgotten) {
        this.#events.tell("lost", { channel, why: frame.why ?? "forgotten" });
      }
    } else if (event === "token" && ("expires_at" in frame || "error" in frame)) {
      if (!frame.error) link.refused = 0;
      else if (link.renewal) this.#renewIn(link, null);
      this.#events.tell("token", frame);
    } else {
      this.#events.tell("message", value, { missed: false });
    }
  }

  #hear(link, channel, position, missing) {
    link.heard.set(channel, missing);
    this.#positions.delete(channel);
    this.#positions.set(channel, position);
    if (this.#positions.size > 256) this.#positions.delete(this.#positions.keys().next().value);
  }

  #room(channel) {
    if (!this.#rooms.has(channel)) this.#rooms.set(channel, newRoom());
    return this.#rooms.get(channel);
  }
}

// A link is an attempt and the connection that it becomes. It also has socket, opened (at, in ms), renewal (a timer).
//   sse      the socket is an EventSource
//   heard    channel → how many missed messages are still to come
//   states   those whose presence_state has come
//   refused  renewals in vain
function newLink(sse = false) {
  return { sse, heard: new Map(), states: new Set(), refused: 0 };
}

// A room is a channel's presence, and take, which applies a frame to it. What that changes is told when it is done.
function newRoom() {
  const { on, tell } = events("sync", "join", "leave", "update");
  const users = new Map();
  const presence = { users, count: 0, on };
  let first = true;

  function take(event, { payload, count }, link) {
    const all = event === "presence_state";
    if (all) link.states.add(presence);
    else if (event !== "presence_diff" || !link.states.has(presence)) return; // the state that comes will hold it
    const told = [];
    const gone = all ? [...users.keys()].filter((id) => !Object.hasOwn(payload, id)) : Object.keys(payload.leaves);
    for (const id of gone) {
      const last = users.get(id);
      if (users.delete(id)) told.push(["leave", id, last]);
    }
    for (const [id, now] of Object.entries(all ? payload : payload.joins)) {
      const before = users.get(id);
      users.set(id, now);
      if (!before && !first) told.push(["join", id, now]);
      if (before && JSON.stringify(before) !== JSON.stringify(now)) told.push(["update", id, now, before]);
    }
    first = false;
    presence.count = count ?? users.size;
    for (const [name, ...args] of told) tell(name, ...args);
    tell("sync");
  }
  return { presence, take };
}

// events is on() for those who listen, and tell() for the one whose events they are.
function events(...names) {
  const listeners = Object.fromEntries(names.map((name) => [name, new Set()]));
  function on(name, listener) {
    const entry = { listener }; // the same function may listen twice
    listeners[name].add(entry);
    return () => void listeners[name].delete(entry);
  }
  function tell(name, ...args) {
    for (const { listener } of [...listeners[name]]) {
      try {
        listener(...args);
      } catch (e) {
        queueMicrotask(() => { throw e; }); // it is the listener's error, and the connection goes on
      }
    }
  }
  return { on, tell };
}

function absolute(url) {
  return new URL(url, globalThis.location?.href);
}

// encode: strings and bytes leave as they are, anything else as JSON.
function encode(value) {
  if (typeof value === "string" || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return value;
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError("there is no JSON for this");
  return text;
}

function decode(data) {
  try {
    return typeof data === "string" ? JSON.parse(data) : data;
  } catch {
    return data;
  }
}

// expiry is the time in ms at which a token expires; undefined or NaN: never, or it is none.
function expiry(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000;
  } catch {}
}

// resumeParameter holds the positions of the 64 channels heard last, or of as many as go into 4 KiB.
function resumeParameter(positions) {
  for (const newest = [...positions].slice(-64); newest.length; newest.shift()) {
    const bytes = new TextEncoder().encode(JSON.stringify(Object.fromEntries(newest)));
    const text = btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    if (text.length <= 4096) return text;
  }
}
