// Presence as the clients' own Presence class has it.
import { Peer } from "../lib/peer.mjs";
import { rng, sleep, until, canon } from "../lib/check.mjs";

let n = 0;
const topic = () => `room:p${process.pid}-${++n}`;
const dev = (m) => `${m.device ?? ""}/${m.state ?? ""}`;
const sees = (c, want, ms = 4000) => until(() => canon(c.book.view(dev)) === canon(want), ms);

export async function first(t, { lib, url, url2 }) {
  const room = topic();
  const a = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "ann", device: "a" }));
  t.ok("the tracker sees itself", await sees(a, { ann: ["a/"] }) || await sees(a, { ann: ["a/online"] }, 1), a.book.view(dev));
  const w = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  t.ok("a spectator sees it too", await until(() => w.book.metas("ann").length === 1), w.book.view(dev));
  t.ok("… and is not seen", a.book.metas("wes").length === 0);
  const b = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "bob", device: "b" }));
  t.ok("a newcomer is told to all", await until(() => [a, b, w].every((c) => Object.keys(c.book.refs()).join() === "ann,bob" || Object.keys(c.book.refs()).sort().join() === "ann,bob")), [a, b, w].map((c) => c.book.refs()));
  t.same("all hold the same refs", [b, w].map((c) => canon(c.book.refs())), [canon(a.book.refs()), canon(a.book.refs())]);
  b.peer.end();
  t.ok("who goes is told", await until(() => !a.book.metas("bob").length && !w.book.metas("bob").length), a.book.refs());
  await a.push("untrack");
  t.ok("untrack", await until(() => !w.book.metas("ann").length && !a.book.metas("ann").length), w.book.refs());
  await a.push("track", { state: "back" });
  t.ok("track again", await sees(w, { ann: ["a/back"] }), w.book.view(dev));
  t.same("book", [a, w].map((c) => c.book.audit(!!lib.lax)), [[], []]);
  t.same("users in turn", w.book.users, [["+", "ann"], ["+", "bob"], ["-", "bob"], ["-", "ann"], ["+", "ann"]]);
  t.ok("every ref is a string and no user is a ghost of JSON", Object.keys(w.book.refs()).every((u) => u === "ann"), w.book.refs());
}

export async function devices(t, { lib, url, url2 }) {
  const room = topic();
  const w = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  const a1 = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "ann", device: "1", state: "s" }));
  const a2 = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "ann", device: "2", state: "s" }));
  t.ok("two devices, one user", await sees(w, { ann: ["1/s", "2/s"] }), w.book.view(dev));
  a1.peer.end();
  t.ok("one goes: the other stays", await sees(w, { ann: ["2/s"] }) && await sees(a2, { ann: ["2/s"] }), w.book.view(dev));
  t.same("the user was not away", w.book.users, [["+", "ann"]]);
  await a2.leave();
  t.ok("the last one goes", await sees(w, {}), w.book.view(dev));
  t.same("users in turn", w.book.users, [["+", "ann"], ["-", "ann"]]);
  t.same("book", w.book.audit(!!lib.lax), []);
}

export async function update(t, { lib, url, url2 }) {
  const room = topic();
  const w = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  const a1 = await new Peer(lib, url).connect().then((p) => p.join(room, { user: "ann", device: "1", state: "s" }));
  const a2 = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "ann", device: "2", state: "s" }));
  await sees(w, { ann: ["1/s", "2/s"] });
  const before = w.book.metas("ann").find((m) => m.device === "1");
  await a1.push("set", { state: "away" });
  t.ok("one device's metas change, the other's stay", await sees(w, { ann: ["1/away", "2/s"] }), w.book.view(dev));
  const after = w.book.metas("ann").find((m) => m.device === "1");
  t.ok("the ref is a new one", after && after.phx_ref !== before?.phx_ref, [before, after]);
  t.ok("phx_ref_prev names the old one", after?.phx_ref_prev === before?.phx_ref, [before, after]);
  for (let i = 0; i < 20; i++) a1.channel.push("set", { state: `s${i % 3}` });
  t.ok("20 changes in a row end right, also where a content comes back", await sees(w, { ann: ["1/s1", "2/s"] }) && await sees(a2, { ann: ["1/s1", "2/s"] }), w.book.view(dev));
  t.same("the user never left", w.book.users, [["+", "ann"]]);
  const late = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "lea", spectator: true }));
  t.ok("a state after changes is the same", await until(() => canon(late.book.refs()) === canon(w.book.refs())), [late.book.refs(), w.book.refs()]);
  t.same("book", [w, a1, a2, late].map((c) => c.book.audit(!!lib.lax)), [[], [], [], []]);
}

// The network is lost and comes back; all channels join again by themselves.
export async function reconnect(t, { lib, url, url2, proxy, proxyUrl }) {
  const room = topic();
  const w = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  const a = await new Peer(lib, proxyUrl).connect().then((p) => p.join(room, { user: "ann", device: "1", state: "s" }));
  const b = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "bob", device: "1", state: "s" }));
  await sees(a, { ann: ["1/s"], bob: ["1/s"] });
  proxy.cut();
  await b.push("set", { state: "changed" }); // while ann is away
  const eve = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "eve", device: "1", state: "s" }));
  t.ok("the client joins again", await until(() => a.answers.length === 2, 5000), a.answers);
  const want = { ann: ["1/s"], bob: ["1/changed"], eve: ["1/s"] };
  t.ok("it is told what changed meanwhile", await sees(a, want), a.book.view(dev));
  t.ok("the others are right", await sees(w, want, 12000) && await sees(eve, want, 12000), w.book.view(dev));
  t.same("for itself, others came and went once", a.book.users.filter(([, u]) => u !== "ann"), [["+", "bob"], ["+", "eve"]]);
  t.same("book", [a, w, b, eve].map((c) => c.book.audit(!!lib.lax)), [[], [], [], []]);
}

// The node is killed; its clients come back on the other one. Every ref is told once, in and out.
export const kill = (t, ctx) => nodeGoes(t, ctx, "SIGKILL");

// The node drains: the same, and nobody need wait for its lease to end.
export const drain = (t, ctx) => nodeGoes(t, ctx, "SIGTERM");

async function nodeGoes(t, { lib, url2, proxy, proxyUrl, endFirst }, signal) {
  if (!endFirst) return t.note("skipped", "needs --pid");
  const room = topic();
  const w = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  const back = await Promise.all(["ann", "bob", "cat"].map((u) => new Peer(lib, proxyUrl).connect().then((p) => p.join(room, { user: u, device: "1", state: "s" }))));
  const gone = await new Peer(lib, proxyUrl).connect().then((p) => p.join(room, { user: "gus", device: "1", state: "s" }));
  const all = { ann: ["1/s"], bob: ["1/s"], cat: ["1/s"] };
  t.ok("before", await sees(w, { ...all, gus: ["1/s"] }) && await sees(back[0], { ...all, gus: ["1/s"] }), w.book.view(dev));
  gone.peer.socket.reconnectTimer.callback = () => {}; // this one will not come back
  const t0 = Date.now();
  await endFirst(signal);
  t.ok("the clients join the other node by themselves", await until(() => back.every((c) => c.answers.length === 2), 8000), back.map((c) => c.answers.length));
  t.note("joined again after ms", Date.now() - t0);
  t.ok("an observer ends with who is there", await sees(w, all, 20000), w.book.view(dev));
  t.note("exact after ms", Date.now() - t0);
  t.ok("so do those who came back", (await Promise.all(back.map((c) => sees(c, all, 20000)))).every(Boolean), back.map((c) => c.book.view(dev)));
  t.same("the observer was told one leave, of the one who stayed away", w.book.users.filter(([s]) => s === "-"), [["-", "gus"]]);
  t.same("… and no second join of those who came back", w.book.users.filter(([s]) => s === "+").map(([, u]) => u).sort(), ["ann", "bob", "cat", "gus"]);
  t.same("book", [w, ...back].map((c) => c.book.audit(!!lib.lax)), [[], [], [], []]);
}

// Leaving and joining at once on one socket, while others come and go: nothing of the old join may reach the new one.
export async function quick_rejoin(t, { lib, url, url2 }) {
  const room = topic();
  const p = await new Peer(lib, url).connect();
  let c = await p.join(room, { user: "ann", spectator: true });
  const flap = await new Peer(lib, url2).connect();
  let stop = false;
  const flapping = (async () => {
    while (!stop) {
      const f = await flap.join(room, { user: "flo", device: "1", state: "s" });
      await f.leave();
    }
  })();
  const books = [];
  for (let i = 0; i < 60; i++) {
    c.channel.leave();
    c = await p.join(room, { user: "ann", spectator: true });
    books.push(c.book);
    await sleep(i % 7);
  }
  stop = true;
  await flapping;
  const end = await new Peer(lib, url2).connect().then((x) => x.join(room, { user: "end", device: "1", state: "s" }));
  t.ok("no ghost", await sees(c, { end: ["1/s"] }, 2500), c.book.view(dev));
  const lax = !!lib.lax || !!lib.mixesJoins;
  t.same("book", c.book.audit(lax), []);
  t.same("books of all joins: nothing left that never came", lax ? [] : books.flatMap((b) => b.faults), []);
  end.peer.end();
}

// The same, while the node of half of the clients is killed; they come back on the other one.
export async function random_kill(t, ctx) {
  if (!ctx.endFirst) return t.note("skipped", "needs --pid");
  await random(t, { ...ctx, url: ctx.proxyUrl, kill: true });
}

// Six clients of three users on two nodes, one spectator, random operations, and a model of who is there.
export async function random(t, { lib, url, url2, seed, ops = 30, kill = false, endFirst }) {
  const r = rng(seed), pick = (xs) => xs[Math.floor(r() * xs.length)];
  const room = topic();
  const w = await new Peer(lib, url2).connect().then((p) => p.join(room, { user: "wes", spectator: true }));
  const slots = Array.from({ length: 6 }, (_, i) => ({ i, user: `u${i % 3}`, device: String(i), url: i % 2 ? url2 : url, peer: null, chan: null, state: null }));
  const done = [];
  for (let k = 0; k < ops; k++) {
    const s = pick(slots);
    if (kill && k === ops >> 1) {
      const lost = slots.filter((x) => x.chan && x.url === url), answers = lost.map((x) => x.chan.answers.length);
      await endFirst("SIGKILL");
      await until(() => lost.every((x, i) => x.chan.answers.length > answers[i]), 8000); // they have joined again
      for (const x of lost) x.state = "0";
    }
    const can = !s.peer ? ["come"] : !s.chan ? ["join", "go"] : s.state === null ? ["track", "leave", "drop"] : ["set", "set", "untrack", "leave", "drop", "reload", "elsewhere", "crash"];
    const op = pick(can);
    done.push(`${s.i}:${op}`);
    switch (op) {
      case "come":
      case "join":
        s.peer ??= await new Peer(lib, s.url).connect();
        s.chan = await s.peer.join(room, { user: s.user, device: s.device, state: "0" });
        s.state = "0";
        break;
      case "set": s.state = String(k); await s.chan.push("set", { state: s.state }); break;
      case "untrack": await s.chan.push("untrack"); s.state = null; break;
      case "track": s.state = `t${k}`; await s.chan.push("track", { state: s.state }); break;
      case "leave": await s.chan.leave(); s.chan = null; s.state = null; break;
      case "go":
      case "drop": s.peer.end(); s.peer = s.chan = s.state = null; break;
      case "elsewhere":
        s.url = s.url === url ? url2 : url;
      // falls through
      case "reload":
        s.peer.end();
        s.peer = await new Peer(lib, s.url).connect();
        s.chan = await s.peer.join(room, { user: s.user, device: s.device, state: "0" });
        s.state = "0";
        break;
      case "crash": {
        const before = s.chan.answers.length;
        s.chan.channel.push("crash", {});
        await until(() => s.chan.answers.length > before, 3000); // it has joined again
        s.state = "0";
        break;
      }
    }
    if (r() < 0.3) await sleep(r() * 80);
  }
  const want = {};
  for (const s of slots) if (s.state !== null) (want[s.user] ??= []).push(`${s.device}/${s.state}`);
  for (const u in want) want[u].sort();
  const here = [["wes", w], ...slots.filter((s) => s.chan).map((s) => [s.i, s.chan])];
  const right = await Promise.all(here.map(([, c]) => sees(c, want, 12000)));
  t.ok(`every client has the model's view (seed ${seed})`, right.every(Boolean), { ops: done, want, views: Object.fromEntries(here.map(([k, c]) => [k, c.book.view(dev)])) });
  // a crash changes the ref alone, so who has the model's view may still be told of it
  t.ok("all hold the same refs", await until(() => new Set(here.map(([, c]) => canon(c.book.refs()))).size === 1, 4000), here.map(([k, c]) => [k, c.book.refs()]));
  const wrong = here.map(([k, c]) => [k, c.book.audit(!!lib.lax)]).filter(([, x]) => x.length);
  t.same("books", wrong, []);
}
