// One phoenix.js client: a socket, its channels, and for each channel a Presence with an account of its callbacks.
import { until } from "./check.mjs";

let made = [];

// closeAll disconnects every peer that was made since the last call.
export async function closeAll() {
  const old = made;
  made = [];
  for (const p of old) p.end();
}

export class Peer {
  constructor(lib, url, params = {}, opts = {}) {
    this.lib = lib;
    this.opens = 0;
    this.closes = [];
    this.errors = 0;
    this.socket = new lib.Socket(url, {
      transport: lib.WebSocket, params, timeout: 4000, heartbeatIntervalMs: 30000, ...opts,
    });
    this.socket.onOpen(() => this.opens++);
    this.socket.onClose((e) => this.closes.push(e?.code));
    this.socket.onError(() => this.errors++);
    made.push(this);
  }

  async connect() {
    this.socket.connect();
    if (!(await until(() => this.socket.isConnected(), 4000))) throw new Error("does not connect");
    return this;
  }

  end() {
    try { this.socket.disconnect(); } catch { /* it was never connected */ }
  }

  // join gives a channel with a Presence, and waits for the answer.
  async join(topic, params = {}, { wait = true } = {}) {
    const ch = new Chan(this, topic, params);
    if (wait) await ch.joined();
    return ch;
  }
}

export class Chan {
  constructor(peer, topic, params) {
    this.peer = peer;
    this.topic = topic;
    this.channel = peer.socket.channel(topic, params);
    this.answers = []; // of the join: [status, response]
    this.got = []; // [event, payload], but for Phoenix's own
    this.closed = 0;
    this.errors = 0;
    this.book = new Book(peer.lib, this.channel);
    this.channel.onClose(() => this.closed++);
    this.channel.onError(() => this.errors++);
    const onMessage = this.channel.onMessage;
    this.channel.onMessage = (event, payload, ref, joinRef) => {
      if (!/^(phx_|chan_reply_|presence_)/.test(event)) this.got.push([event, payload]);
      return onMessage.call(this.channel, event, payload, ref, joinRef);
    };
    this.push0 = this.channel.join()
      .receive("ok", (r) => this.answers.push(["ok", r]))
      .receive("error", (r) => this.answers.push(["error", r]))
      .receive("timeout", () => this.answers.push(["timeout"]));
  }

  async joined(n = 1) {
    if (!(await until(() => this.answers.length >= n, 5000))) throw new Error(`no answer to the join of ${this.topic}`);
    return this.answers[n - 1];
  }

  push(event, payload = {}, timeout = 3000) {
    return new Promise((done) => {
      this.channel.push(event, payload, timeout)
        .receive("ok", (r) => done(["ok", r]))
        .receive("error", (r) => done(["error", r]))
        .receive("timeout", () => done(["timeout"]));
    });
  }

  leave() {
    return new Promise((done) => {
      this.channel.leave().receive("ok", () => done("ok")).receive("timeout", () => done("timeout"));
    });
  }
}

// Book keeps account of a Presence's callbacks. Each (user, phx_ref) must be told joined once and left once, in turn; what
// is joined and not left must be what the Presence holds.
export class Book {
  constructor(lib, channel) {
    this.live = new Map(); // user → Set of refs
    this.faults = []; // a ref joined twice, or left without having been joined
    this.users = []; // ["+", user] when the first meta came, ["-", user] when the last went
    this.syncs = 0;
    this.log = [];
    this.presence = new lib.Presence(channel);
    this.presence.onJoin((user, current, joined) => {
      if (!current) this.users.push(["+", user]);
      const had = lib.merges && current ? current.metas.map((m) => m.phx_ref) : [];
      for (const m of joined.metas.filter((m) => !had.includes(m.phx_ref))) {
        this.log.push(["join", user, m.phx_ref]);
        const set = this.live.get(user) ?? this.live.set(user, new Set()).get(user);
        if (set.has(m.phx_ref)) this.faults.push(["joined twice", user, m.phx_ref]);
        set.add(m.phx_ref);
      }
    });
    this.presence.onLeave((user, current, left) => {
      if (current.metas.length === 0) this.users.push(["-", user]);
      for (const m of left.metas) {
        this.log.push(["leave", user, m.phx_ref]);
        if (!this.live.get(user)?.delete(m.phx_ref)) this.faults.push(["left, never joined", user, m.phx_ref]);
      }
      if (this.live.get(user)?.size === 0) this.live.delete(user);
    });
    this.presence.onSync(() => this.syncs++);
  }

  // view is user → array of what pick makes of each meta, sorted.
  view(pick) {
    const out = {};
    this.presence.list((user, { metas }) => { out[user] = metas.map(pick).sort(); });
    return out;
  }

  refs() { return this.view((m) => m.phx_ref); }
  metas(user) { return this.presence.list((u, p) => [u, p.metas]).find(([u]) => u === user)?.[1] ?? []; }

  // audit says what is wrong, or nothing. Real Phoenix tells a tracker of itself twice (its own diff comes before its state),
  // and a new join of what ended before it (a leave from before its state comes after it); lax leaves these out.
  audit(lax = false) {
    const wrong = lax ? [] : [...this.faults];
    const held = {};
    for (const [u, s] of this.live) held[u] = [...s].sort();
    const refs = this.refs();
    if (JSON.stringify(sorted(held)) !== JSON.stringify(sorted(refs))) wrong.push(["callbacks and state differ", held, refs]);
    const here = new Set();
    for (const [sign, u] of this.users) {
      if ((sign === "+") === here.has(u)) wrong.push(["user told out of turn", sign, u]);
      if (sign === "+") here.add(u); else here.delete(u);
    }
    return wrong;
  }
}

const sorted = (o) => Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));
