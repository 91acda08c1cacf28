// What is sent while there is no connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, server, settle } from "./fake.js";

// outcomes notes what becomes of promises: "sent", or why not.
function outcomes(promises) {
  const list = promises.map(() => "waits");
  promises.forEach((promise, i) => promise.then(() => (list[i] = "sent"), (e) => (list[i] = e.message)));
  return list;
}

// busiest is the largest number of messages that left in any one second.
const busiest = (sent) => Math.max(...sent.map(({ at }) => sent.filter((other) => other.at > at - 1000 && other.at <= at).length));

test("while it is open it sends at once", async (t) => {
  const s = server(t);
  const c = await s.open();
  const bytes = new Uint8Array([1, 2]);
  const all = [c.send("text"), c.send({ a: [1] }), c.send(5), c.send(null), c.send(bytes), c.send(bytes.buffer)];
  assert.deepEqual(s.last.texts(), ["text", '{"a":[1]}', "5", "null", bytes, bytes.buffer]);
  await Promise.all(all);
});

test("a thousand messages written offline, and one more", async (t) => {
  const s = server(t);
  const c = s.client();
  await settle();
  await s.last.refuse();
  const state = outcomes(Array.from({ length: 1001 }, (_, i) => c.send({ i })));
  await settle();
  assert.equal(state[1000], "too much waits to be sent");
  assert.ok(state.slice(0, 1000).every((word) => word === "waits"));
  await pass(500);
  await s.last.accept();
  await pass(10000);
  assert.equal(s.last.sent.length, 501);
  const behind = c.send("behind them");
  await pass(11000);
  await behind;
  assert.deepEqual(s.last.texts(), [...Array.from({ length: 1000 }, (_, i) => `{"i":${i}}`), "behind them"]);
  assert.ok(state.slice(0, 1000).every((word) => word === "sent"));
  assert.ok(busiest(s.last.sent) <= 50, `${busiest(s.last.sent)} in a second`);
  c.send("at once again");
  assert.equal(s.last.texts().at(-1), "at once again");
});

test("timers of a hidden page come once a second: still fifty in it, and no more", async (t) => {
  const s = server(t);
  const c = s.client();
  for (let i = 0; i < 500; i++) c.send(i);
  await settle();
  await s.last.accept();
  await pass(5000, 1000);
  assert.ok(s.last.sent.length >= 200, `${s.last.sent.length} in 5 s`);
  await pass(6000, 3000); // a page that was frozen
  assert.ok(busiest(s.last.sent) <= 50, `${busiest(s.last.sent)} in a second`);
  await pass(10000); // they are prompt again
  assert.deepEqual(s.last.texts(), Array.from({ length: 500 }, (_, i) => `${i}`));
  assert.ok(busiest(s.last.sent) <= 50, `${busiest(s.last.sent)} in a second`);
});

test("a connection that breaks while it sends: the rest goes over the next one, in order and once", async (t) => {
  const s = server(t);
  const c = s.client();
  for (let i = 0; i < 100; i++) c.send(i);
  await settle();
  await s.last.accept();
  await pass(1000);
  const before = s.last.texts().length;
  assert.ok(before >= 50 && before <= 51, `${before}`);
  s.last.readyState = 2; // it closes, and has not said so yet
  await pass(100);
  assert.equal(s.last.texts().length, before);
  c.send(100);
  await s.last.end(1006);
  await pass(500);
  await s.last.accept();
  await pass(3000);
  assert.deepEqual(s.sockets.flatMap((socket) => socket.texts()), Array.from({ length: 101 }, (_, i) => `${i}`));
});

test("connections that break again and again send no more than fifty a second either", async (t) => {
  const s = server(t, { random: 0 });
  const c = s.client();
  for (let i = 0; i < 500; i++) c.send(i);
  await settle();
  await s.last.accept();
  for (let n = 0; n < 10; n++) {
    await pass(990);
    await s.again();
  }
  const sent = s.sockets.flatMap((socket) => socket.sent);
  assert.ok(sent.length > 400 && busiest(sent) <= 50, `${busiest(sent)} in a second, ${sent.length} in all`);
  assert.deepEqual(sent.map(({ data }) => data), Array.from(sent, (_, i) => `${i}`));
});

test("a message is as it was when it was sent", async (t) => {
  const s = server(t);
  const c = s.client();
  const value = { n: 1 };
  c.send(value);
  value.n = 2;
  await settle();
  await s.last.accept();
  assert.deepEqual(s.last.texts(), ['{"n":1}']);
});

test("what can't be sent is rejected at once", async (t) => {
  const c = server(t).client();
  const circle = {};
  circle.circle = circle;
  await assert.rejects(c.send(undefined), TypeError);
  await assert.rejects(c.send(() => {}), TypeError);
  await assert.rejects(c.send(circle), TypeError);
  await assert.rejects(c.send(1n), TypeError);
});

test("how much waits can be chosen", async (t) => {
  const s = server(t);
  const few = s.client({ outbox: 2 });
  const none = s.client({ outbox: 0 });
  const usual = s.client({ outbox: undefined });
  const state = outcomes([few.send(1), few.send(2), few.send(3), none.send(1), usual.send(1)]);
  await settle();
  assert.deepEqual(state, ["waits", "waits", "too much waits to be sent", "too much waits to be sent", "waits"]);
});

test("who is closed for good sends nothing, and what waited is rejected", async (t) => {
  const s = server(t);
  const c = s.client();
  const state = outcomes([c.send(1), c.send(2)]);
  await settle();
  await s.last.end(4403);
  await assert.rejects(c.send(3), /closed/);
  assert.deepEqual(state, ["the connection is closed", "the connection is closed"]);
  c.reconnect();
  await settle();
  await s.last.accept();
  await c.send(4);
  assert.deepEqual(s.last.texts(), ["4"]);
});

test("who does not wait for a promise is not told of its rejection", async (t) => {
  const unhandled = [];
  const hear = (e) => unhandled.push(e);
  process.on("unhandledRejection", hear);
  t.after(() => process.off("unhandledRejection", hear));
  const s = server(t);
  const c = s.client({ outbox: 1 });
  c.send(1);
  c.send(2);
  c.close();
  c.send(3);
  await settle();
  await settle();
  assert.deepEqual(unhandled, []);
});

test("what is sent when it opens goes behind what waits", async (t) => {
  const s = server(t);
  const c = s.client();
  c.send("first");
  c.on("status", (status) => status === "open" && c.send("second"));
  await settle();
  await s.last.accept();
  await pass(100);
  assert.deepEqual(s.last.texts(), ["first", "second"]);
});
