// fallback: "sse": an EventSource where WebSockets do not pass.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, server, settle } from "./fake.js";

// refuse refuses n WebSockets, each when it comes.
async function refuse(s, n) {
  await settle();
  await s.last.refuse();
  while (--n > 0) await (await s.next()).refuse();
  await settle();
}

test("after three WebSockets in a row that did not open", async (t) => {
  const s = server(t, { random: 0 });
  const c = s.client({ fallback: "sse", resume: true, token: () => "abc" }, "wss://node/ws/room?x=1");
  const waits = c.send("written before");
  await settle();
  await s.last.refuse();
  await pass(1);
  await s.last.refuse();
  assert.equal(s.streams.length, 0);
  await pass(500);
  await s.last.refuse();
  assert.equal(s.sockets.length, 3);
  assert.equal(s.streams.length, 1, "it does not wait");
  assert.equal(s.streams[0].url.href, "https://node/ws/room?x=1&token=abc");
  assert.equal(c.status, "connecting");
  await s.streams[0].accept();
  assert.deepEqual(c.log.at(-1), ["open", { oneWay: true }]);
  await assert.rejects(waits, /only hears/);
  await assert.rejects(c.send("now"), /only hears/);

  await s.streams[0].say({ event: "joined", channel: "room", position: "5-0" });
  await s.streams[0].say({ event: "message", channel: "room", position: "6-1", data: "hi" });
  await s.streams[0].say({ event: "presence_state", channel: "room", payload: { ada: { metas: [] } } });
  assert.deepEqual(c.log.at(-1), ["message", "hi", { channel: "room", position: "6-1", missed: false }]);
  assert.equal(c.presence("room").count, 1);
  await pass(60000, 1000);
  assert.equal(s.sockets.length, 3, "it stays");

  await s.streams[0].stumble();
  assert.equal(c.status, "waiting");
  assert.ok(s.streams[0].closed, "the browser's own coming back is not wanted: it has the old token and position");
  const queued = c.send("while it waits");
  await pass(500);
  assert.equal(s.sockets.length, 4, "a WebSocket is tried first");
  await s.last.refuse();
  assert.equal(s.streams.length, 2);
  assert.deepEqual(JSON.parse(Buffer.from(s.streams[1].url.searchParams.get("resume"), "base64url")), { room: "6-1" });
  await s.streams[1].accept();
  await assert.rejects(queued, /only hears/);
});

test("a WebSocket that opens ends it", async (t) => {
  const s = server(t, { random: 0 });
  const c = s.client({ fallback: "sse" });
  await refuse(s, 3);
  await s.streams[0].stumble();
  const kept = c.send("kept");
  await pass(c.log.at(-1)[1].retryIn);
  await s.last.accept();
  await kept;
  assert.deepEqual(s.last.texts(), ["kept"]);
  assert.deepEqual(c.log.at(-1), ["open", { oneWay: false }]);
  await s.last.end(1012);
  for (const streams of [1, 1, 2]) {
    await (await s.next()).refuse();
    await settle();
    assert.equal(s.streams.length, streams, "it counts from the beginning");
  }
});

test("a server that is away altogether is asked as rarely as without it", async (t) => {
  const s = server(t, { random: 0.999 });
  s.client({ fallback: "sse" });
  await settle();
  let sockets = 0;
  let streams = 0;
  for (let ms = 0; ms < 600000; ms += 100) {
    while (sockets < s.sockets.length) await s.sockets[sockets++].refuse();
    while (streams < s.streams.length) await s.streams[streams++].fail();
    await pass(100, 100);
  }
  assert.ok(sockets < 40, `${sockets} attempts in ten minutes`);
  assert.equal(streams, sockets - 2);
});

test("off by default, and not for what opened or had no token", async (t) => {
  const s = server(t, { random: 0 });
  s.client();
  await refuse(s, 6);
  assert.equal(s.streams.length, 0);

  const flapping = s.client({ fallback: "sse" });
  await settle();
  for (let n = 0; n < 6; n++) {
    await s.last.accept();
    await s.last.end(1012);
    await pass(flapping.log.at(-1)[1].retryIn);
  }
  assert.equal(s.streams.length, 0);
  flapping.close();

  let asked = 0;
  const c = s.client({ fallback: "sse", token: () => {
    asked++;
    throw new Error("no login");
  } });
  await pass(100000, 100);
  assert.equal(s.streams.length, 0);
  assert.equal(asked, c.log.filter(([status]) => status === "waiting").length, "once an attempt");
});

test("without an EventSource it goes on with WebSockets", async (t) => {
  const s = server(t, { random: 0 });
  const c = s.client({ fallback: "sse", EventSource: undefined });
  await refuse(s, 5);
  assert.equal(c.status, "waiting");
});

test("close() and reconnect() end a stream", async (t) => {
  const s = server(t, { random: 0 });
  const c = s.client({ fallback: "sse" });
  await refuse(s, 3);
  await s.streams[0].accept();
  c.reconnect();
  await settle();
  assert.ok(s.streams[0].closed);
  await s.last.refuse();
  await s.streams[1].accept();
  c.close();
  assert.ok(s.streams[1].closed);
  assert.equal(c.status, "closed");
});
