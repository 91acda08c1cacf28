// Who is there: one channel's list through all that can happen to a connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, server } from "./fake.js";

const user = (...refs) => ({ metas: refs.map((phx_ref) => ({ phx_ref, state: "online" })) });
const state = (payload, channel = "room") => ({ event: "presence_state", channel, payload });
const diff = (joins, leaves = {}, channel = "room") => ({ event: "presence_diff", channel, payload: { joins, leaves } });

// told notes a room's events.
function told(room) {
  const log = [];
  for (const name of ["sync", "join", "leave", "update"]) room.on(name, (...args) => log.push([name, ...args]));
  return log;
}

test("the first state is told by sync alone, then each change by name", async (t) => {
  const s = server(t);
  const c = await s.open();
  const room = c.presence("room");
  const log = told(room);
  await s.last.say(state({ ada: user(1), bob: user(2) }));
  assert.deepEqual(log.splice(0), [["sync"]]);
  assert.deepEqual([...room.users], [["ada", user(1)], ["bob", user(2)]]);
  assert.equal(room.count, 2);

  await s.last.say(diff({ eve: user(3), ada: user(1, 4) }, { bob: user(2) }));
  assert.deepEqual(log.splice(0), [["leave", "bob", user(2)], ["join", "eve", user(3)], ["update", "ada", user(1, 4), user(1)], ["sync"]]);
  assert.deepEqual([...room.users.keys()], ["ada", "eve"]);
  assert.equal(room.count, 2);

  await s.last.say(diff({ ada: user(1, 4) }, { nobody: user(9) }));
  assert.deepEqual(log.splice(0), [["sync"]], "what changes nothing is not told");
  assert.deepEqual(c.log.filter(([name]) => name === "message"), []);
});

test("the list is complete when its changes are told", async (t) => {
  const s = server(t);
  const room = (await s.open()).presence("room");
  await s.last.say(state({ ada: user(1) }));
  const seen = [];
  for (const name of ["join", "leave"]) room.on(name, () => seen.push([...room.users.keys()].join(), room.count));
  await s.last.say(diff({ bob: user(2), eve: user(3) }, { ada: user(1) }));
  assert.deepEqual(seen, Array(3).fill(["bob,eve", 2]).flat());
});

test("while it waits the users stay; the next state tells the difference", async (t) => {
  const s = server(t);
  const room = (await s.open()).presence("room");
  const log = told(room);
  await s.last.say(state({ ada: user(1), bob: user(2), cid: user(3) }));
  log.splice(0);
  await s.last.end(1012);
  assert.equal(room.count, 3);
  await pass(500);
  await s.last.accept();
  await s.last.say(diff({ dan: user(4) })); // the state that comes will hold it
  assert.deepEqual(log, []);
  await s.last.say(state({ ada: user(5), bob: user(2), dan: user(4) }));
  assert.deepEqual(log, [["leave", "cid", user(3)], ["update", "ada", user(5), user(1)], ["join", "dan", user(4)], ["sync"]]);
});

test("a diff before any state is of no interest", async (t) => {
  const s = server(t);
  const room = (await s.open()).presence("room");
  const log = told(room);
  await s.last.say(diff({ ada: user(1) }));
  assert.deepEqual(log, []);
  assert.equal(room.count, 0);
});

test("channels have lists of their own, of which there is one each, whoever asks first", async (t) => {
  const s = server(t);
  const c = await s.open();
  await s.last.say(state({ ada: user(1) }, "a"));
  await s.last.say(state({ bob: user(2) }, "b"));
  assert.equal(c.presence("a"), c.presence("a"));
  assert.deepEqual([...c.presence("a").users.keys()], ["ada"]);
  await s.last.say(diff({ eve: user(3) }, {}, "a"));
  assert.deepEqual([...c.presence("b").users.keys()], ["bob"]);
  assert.equal(c.presence("c").count, 0);
});

test("ids of any kind", async (t) => {
  const s = server(t);
  const room = (await s.open()).presence("room");
  const log = told(room);
  await s.last.say('{"event":"presence_state","channel":"room","payload":{"__proto__":{"metas":[]},"7":{"metas":[]},"constructor":{"metas":[]}}}');
  assert.deepEqual([...room.users.keys()].sort(), ["7", "__proto__", "constructor"]);
  await s.last.say('{"event":"presence_state","channel":"room","payload":{"7":{"metas":[]}}}');
  assert.deepEqual(log.filter(([name]) => name === "leave").map(([, id]) => id).sort(), ["__proto__", "constructor"]);
  await s.last.say('{"event":"presence_diff","channel":"room","payload":{"joins":{"__proto__":{"metas":[]}},"leaves":{"7":{"metas":[]}}}}');
  assert.deepEqual([...room.users.keys()], ["__proto__"]);
});

test("a room that shows some counts all", async (t) => {
  const s = server(t);
  const room = (await s.open()).presence("room");
  await s.last.say({ ...state({ ada: user(1) }), count: 5000 });
  assert.equal(room.count, 5000);
});

test("other frames of presence are no messages", async (t) => {
  const s = server(t);
  const c = await s.open();
  await s.last.say({ event: "presence_page", channel: "room", payload: { ada: user(1) }, next: null });
  await s.last.say({ event: "presence_is_nice" });
  assert.deepEqual(c.log.slice(1), [["message", { event: "presence_is_nice" }, { missed: false }]]);
  assert.equal(c.presence("room").count, 0);
});

// Whatever happens, for each user join and leave alternate, and the list is what the server said last.
test("random lives", async (t) => {
  const s = server(t, { random: 0 });
  const c = await s.open();
  const room = c.presence("room");
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const here = new Set(); // as join and leave have told
  let synced = false;
  room.on("sync", () => {
    if (!synced) for (const id of room.users.keys()) here.add(id);
    synced = true;
    assert.deepEqual([...here].sort(), [...room.users.keys()].sort());
  });
  room.on("join", (id) => assert.ok(!here.has(id) && here.add(id), `${id} joined twice`));
  room.on("leave", (id) => assert.ok(here.delete(id), `${id} left, and was not there`));
  room.on("update", (id) => assert.ok(here.has(id), `${id} was changed, and was not there`));

  const truth = new Map();
  let stated = false;
  let events = 0;
  for (let step = 0; step < 3000; step++) {
    const id = `u${random(8)}`;
    switch (random(10)) {
      case 0:
        await s.last.say(state(Object.fromEntries(truth)));
        stated = true;
        break;
      case 1:
        await s.again(500);
        stated = false;
        break;
      default: {
        const [joins, leaves] = [{}, {}];
        if (truth.has(id) && random(2)) {
          leaves[id] = truth.get(id);
          truth.delete(id);
        } else {
          joins[id] = user(...Array.from({ length: 1 + random(3) }, () => random(5)));
          truth.set(id, joins[id]);
        }
        await s.last.say(diff(joins, leaves));
      }
    }
    if (stated) {
      events++;
      assert.deepEqual(Object.fromEntries(room.users), Object.fromEntries(truth), `step ${step}`);
    }
  }
  assert.ok(events > 500, `only ${events} looks`);
});
