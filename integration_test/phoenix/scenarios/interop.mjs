// A Phoenix client and a plain client of an event handler in one room, and the HTTP API. Rollcall only: skipped without
// --seedws=ws://host:port/ws/room (…/{room}?user=&device= joins and tracks) and --api=http://host:port.
import { Peer } from "../lib/peer.mjs";
import { sleep, until, canon } from "../lib/check.mjs";

let n = 0;

class Plain {
  constructor(lib, url) {
    this.users = {};
    this.got = [];
    this.ws = new lib.WebSocket(url);
    this.ws.on("message", (d) => this.#take(d.toString()));
    this.open = new Promise((done, fail) => { this.ws.on("open", done); this.ws.on("error", fail); });
  }
  // what docs/protocol.md tells clients to do: replace on joins, delete on leaves
  #take(text) {
    let m;
    try { m = JSON.parse(text); } catch { m = null; }
    if (m?.event === "presence_state") this.users = m.payload;
    else if (m?.event === "presence_diff") {
      Object.assign(this.users, m.payload.joins);
      for (const u of Object.keys(m.payload.leaves)) delete this.users[u];
      const both = Object.keys(m.payload.joins).filter((u) => u in m.payload.leaves);
      if (both.length) this.bad = ["one user in both halves", m];
    } else this.got.push(m ?? text);
  }
  send(v) { this.ws.send(typeof v === "string" ? v : JSON.stringify(v)); }
}

export async function interop(t, { lib, url, seedws, api, apiKey }) {
  if (!seedws) return t.note("skipped", "needs --seedws and --api");
  const id = `i${process.pid}-${++n}`, room = `room:${id}`;
  const headers = apiKey ? { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" } : { "Content-Type": "application/json" };
  const call = (method, path, body) => fetch(`${api}/_api/channels/${encodeURIComponent(room)}${path}`, { method, headers, body: body && JSON.stringify(body) }).then(async (r) => [r.status, await r.json().catch(() => null)]);

  const plain = new Plain(lib, `${seedws}/${id}?user=pat&device=p`);
  await plain.open;
  const a = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "ann", device: "a", state: "s" }));
  t.ok("the Phoenix client sees the plain one", await until(() => a.book.metas("pat").length === 1), a.book.refs());
  t.ok("the plain client sees the Phoenix one", await until(() => plain.users.ann?.metas.length === 1), plain.users);

  await a.push("say", { text: "hi" });
  t.ok("a Phoenix broadcast reaches the plain client as {event, payload}", await until(() => plain.got.some((m) => canon(m) === canon({ event: "said", payload: { from: "ann", text: "hi" } }))), plain.got);
  t.ok("… and its sender", await until(() => canon(a.got) === canon([["said", { from: "ann", text: "hi" }]])), a.got); // perhaps later
  a.got.length = 0;
  plain.send({ event: "note", payload: { x: 1 } });
  t.ok("{event, payload} of a plain client is that event", await until(() => canon(a.got) === canon([["note", { x: 1 }]])), a.got);
  a.got.length = 0;
  plain.send({ type: "chat", text: "yo" });
  t.ok("another object is the event message", await until(() => canon(a.got) === canon([["message", { type: "chat", text: "yo" }]])), a.got);
  a.got.length = 0;
  plain.send("just text");
  t.ok("what is no object is wrapped", await until(() => canon(a.got) === canon([["message", { data: "just text" }]])), a.got);
  for (const event of ["phx_close", "phx_error", "phx_reply", "presence_diff", "presence_state"]) plain.send({ event, payload: { joins: { ghost: { metas: [{ phx_ref: "x" }] } }, leaves: {}, status: "ok", response: {} } });
  await sleep(250);
  t.same("nobody can forge Phoenix's own events", [a.closed, a.errors, a.book.metas("ghost").length, (await a.push("echo", { a: 1 }))[0]], [0, 0, 0, "ok"]);

  a.got.length = 0;
  t.same("API broadcast", (await call("POST", "/broadcast", { message: { event: "news", payload: { n: 1 } } }))[0] < 300, true);
  t.ok("… is that event", await until(() => a.got.some(([e, p]) => e === "news" && p.n === 1)), a.got);
  const [, list] = await call("GET", "/presence");
  t.same("API presence", list?.users?.map((u) => u.user_id).sort(), ["ann", "pat"]);

  const refs = a.book.refs();
  await a.push("set", { state: "away" });
  t.ok("an update reaches the plain client with the same ref and all metas", await until(() => plain.users.ann?.metas[0]?.state === "away"), plain.users.ann);
  t.ok("… and the Phoenix client with a new one", await until(() => a.book.refs().ann?.[0] !== refs.ann?.[0]), a.book.refs());
  const b = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "pat", device: "b", state: "s" }));
  t.ok("one user on both kinds of client is one user with two devices", await until(() => a.book.metas("pat").length === 2), a.book.refs());
  plain.ws.close();
  t.ok("the plain one goes: its device is gone, the user is not", await until(() => a.book.metas("pat").length === 1), a.book.refs());
  t.same("user told once", a.book.users.filter(([, u]) => u === "pat"), [["+", "pat"]]);
  b.peer.end();
  t.ok("the last one goes", await until(() => a.book.metas("pat").length === 0), a.book.refs());
  t.same("no user in both halves for plain clients", plain.bad, undefined);
  t.same("book", a.book.audit(!!lib.lax), []);
}
