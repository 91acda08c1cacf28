// @supabase/realtime-js, unmodified. Its conventions are answered by app/handlers/realtime.lua.
import { sleep, until, canon } from "../lib/check.mjs";

let n = 0;
const room = () => `s${process.pid}-${++n}`;
const open = [];

async function client(lib, url) {
  // the client appends /websocket itself
  // 2.10 with a transport of one's own never listens to it; without one it takes ws by itself
  const transport = /2-10/.test(lib.name) ? {} : { transport: lib.WebSocket };
  const c = new lib.RealtimeClient(url, { ...transport, params: { apikey: "anon" }, timeout: 4000, heartbeatIntervalMs: 25000 });
  c.connect();
  if (!(await until(() => c.isConnected(), 4000))) throw new Error("does not connect");
  open.push(c);
  return c;
}

async function end() {
  for (const c of open.splice(0)) { try { await c.disconnect(); } catch { /* gone */ } }
  await sleep(20);
}

function subscribe(client, name, config, { presence = true } = {}) {
  const ch = client.channel(name, { config });
  const seen = { status: [], broadcast: [], joins: [], leaves: [], syncs: 0 };
  ch.on("broadcast", { event: "*" }, (m) => seen.broadcast.push([m.event, m.payload]));
  if (presence) {
    ch.on("presence", { event: "sync" }, () => seen.syncs++);
    ch.on("presence", { event: "join" }, ({ key, newPresences }) => newPresences.forEach((p) => seen.joins.push([key, p.presence_ref])));
    ch.on("presence", { event: "leave" }, ({ key, leftPresences }) => leftPresences.forEach((p) => seen.leaves.push([key, p.presence_ref])));
  }
  ch.subscribe((s) => seen.status.push(s));
  return { ch, seen, view: () => Object.fromEntries(Object.entries(ch.presenceState()).map(([k, ps]) => [k, ps.map((p) => `${p.device}/${p.state}`).sort()])) };
}

const joined = async (c) => { if (!(await until(() => c.seen.status.includes("SUBSCRIBED"), 4000))) throw new Error(`not subscribed: ${c.seen.status}`); return c; };
const sees = (c, want, ms = 4000) => until(() => canon(c.view()) === canon(want), ms);

function audit(c, lax) {
  const live = new Set(), wrong = [];
  const refs = new Set(Object.values(c.ch.presenceState()).flat().map((p) => p.presence_ref));
  for (const [k, r] of c.seen.joins) { if (live.has(r) && !lax) wrong.push(["joined twice", k, r]); live.add(r); }
  for (const [k, r] of c.seen.leaves) if (!live.delete(r) && !lax) wrong.push(["left, never joined", k, r]);
  if (canon([...live].sort()) !== canon([...refs].sort())) wrong.push(["callbacks and state differ", [...live], [...refs]]);
  return wrong;
}

export async function sb_broadcast(t, { lib, url, url2 }) {
  const name = room();
  const a = await joined(subscribe(await client(lib, url), name, { broadcast: { self: false, ack: true } }, { presence: false }));
  const b = await joined(subscribe(await client(lib, url2), name, { broadcast: { self: true } }, { presence: false }));
  t.same("with ack", await a.ch.send({ type: "broadcast", event: "shout", payload: { text: "héé 🎈", n: [1, {}] } }), "ok");
  t.ok("reaches the others", await until(() => b.seen.broadcast.length === 1), b.seen.broadcast);
  t.same("whole", b.seen.broadcast[0], ["shout", { text: "héé 🎈", n: [1, {}] }]);
  await b.ch.send({ type: "broadcast", event: "mine", payload: { a: 1 } });
  t.ok("self: true", await until(() => b.seen.broadcast.length === 2 && a.seen.broadcast.length === 1), [a.seen.broadcast, b.seen.broadcast]);
  await sleep(100);
  t.same("self: false", a.seen.broadcast, [["mine", { a: 1 }]]);
  t.same("unsubscribe", await a.ch.unsubscribe(), "ok");
  await b.ch.send({ type: "broadcast", event: "late", payload: {} });
  await sleep(150);
  t.same("hears nothing any more", a.seen.broadcast.length, 1);
  await end();
}

export async function sb_presence(t, { lib, url, url2 }) {
  const name = room();
  const w = await joined(subscribe(await client(lib, url2), name, { presence: { key: "wes" } }));
  const a1 = await joined(subscribe(await client(lib, url), name, { presence: { key: "ann" } }));
  const a2 = await joined(subscribe(await client(lib, url2), name, { presence: { key: "ann" } }));
  t.same("track is answered", await a1.ch.track({ device: "1", state: "s" }), "ok");
  t.ok("seen by all", await sees(w, { ann: ["1/s"] }) && await sees(a1, { ann: ["1/s"] }) && await sees(a2, { ann: ["1/s"] }), w.view());
  await a2.ch.track({ device: "2", state: "s" });
  t.ok("two devices", await sees(w, { ann: ["1/s", "2/s"] }), w.view());
  t.same("track again updates", await a1.ch.track({ device: "1", state: "away" }), "ok");
  t.ok("… for all", await sees(w, { ann: ["1/away", "2/s"] }) && await sees(a2, { ann: ["1/away", "2/s"] }), w.view());
  t.same("untrack", await a1.ch.untrack(), "ok");
  t.ok("… for all", await sees(w, { ann: ["2/s"] }) && await sees(a1, { ann: ["2/s"] }), w.view());
  await a2.ch.unsubscribe();
  t.ok("unsubscribe ends presence", await sees(w, {}), w.view());
  t.same("books", [w, a1].map((c) => audit(c, lib.lax)), [[], []]);
  await end();
}

export async function sb_reconnect(t, { lib, url2, proxy, proxyUrl }) {
  const name = room();
  const w = await joined(subscribe(await client(lib, url2), name, { presence: { key: "wes" } }));
  const a = await joined(subscribe(await client(lib, proxyUrl), name, { presence: { key: "ann" } }));
  a.seen.retrack = 0;
  await a.ch.track({ device: "1", state: "s" });
  t.ok("before", await sees(w, { ann: ["1/s"] }));
  proxy.cut();
  t.ok("subscribed again by itself", await until(() => a.seen.status.filter((s) => s === "SUBSCRIBED").length >= 2, 9000), a.seen.status);
  await a.ch.track({ device: "1", state: "back" }); // what apps do in their SUBSCRIBED callback
  t.ok("right for the observer", await sees(w, { ann: ["1/back"] }, 12000), w.view());
  t.ok("right for itself", await sees(a, { ann: ["1/back"] }, 12000), a.view());
  t.same("books", [w, a].map((c) => audit(c, lib.lax)), [[], []]);
  await end();
}
