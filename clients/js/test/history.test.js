// Messages, and positions of channels with history: what is told on coming back, what was missed, what is lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, server, settle } from "./fake.js";

const message = (data, position, channel = "room") => ({ event: "message", channel, position, data });
const joined = (position, more = {}, channel = "room") => ({ event: "joined", channel, position, ...more });

// resumed reads what a socket's address says of positions.
const resumed = ({ url }) => {
  const text = url.searchParams.get("resume");
  return text && JSON.parse(Buffer.from(text, "base64url"));
};

const heard = (c, name = "message") => c.log.filter((entry) => entry[0] === name).map((entry) => entry.slice(1));

test("messages are JSON, or text as it is, or bytes", async (t) => {
  const s = server(t);
  const c = await s.open();
  const bytes = new ArrayBuffer(2);
  for (const frame of [{ a: 1 }, "no JSON", "5", "", "null", bytes]) await s.last.say(frame);
  assert.deepEqual(heard(c), [{ a: 1 }, "no JSON", 5, "", null, bytes].map((data) => [data, { missed: false }]));
  assert.equal(s.last.binaryType, "arraybuffer");
});

test("without resume frames of these names are the app's own, unless they have a position", async (t) => {
  const s = server(t);
  const c = await s.open();
  const own = [message("x", undefined), { event: "joined", user: "ada" }, { event: "joined", channel: "room" }, { event: "lost", cause: 1 }];
  for (const frame of own) await s.last.say(frame);
  assert.deepEqual(heard(c).map(([data]) => data), own.map((frame) => JSON.parse(JSON.stringify(frame))));
  await s.last.say(joined("5-0"));
  assert.equal(heard(c).length, own.length);
  await s.again();
  assert.equal(resumed(s.last), null);
});

test("with resume a broadcast has its channel and position", async (t) => {
  const s = server(t);
  const c = await s.open({ resume: true });
  assert.equal(resumed(s.last), null, "nothing has been heard yet");
  await s.last.say(joined("5-0"));
  await s.last.say(message({ hi: 1 }, "6-1"));
  await s.last.say(message("typing", undefined));
  await s.last.say({ event: "history", channel: "room", messages: [], position: "1-0" });
  await s.last.say({ event: "message", text: "the app's own" });
  assert.deepEqual(heard(c), [
    [{ hi: 1 }, { channel: "room", position: "6-1", missed: false }],
    ["typing", { channel: "room", position: undefined, missed: false }],
    [{ event: "history", channel: "room", messages: [], position: "1-0" }, { missed: false }],
    [{ event: "message", text: "the app's own" }, { missed: false }]]);
  await s.again();
  assert.deepEqual(resumed(s.last), { room: "6-1" });
});

test("what was missed is marked, channel by channel", async (t) => {
  const s = server(t);
  const c = await s.open({ resume: true }, "ws://node/ws?a=b");
  await s.last.say(joined("5-0", {}, "a"));
  await s.last.say(joined("7-0", {}, "b"));
  await s.again();
  assert.deepEqual(resumed(s.last), { a: "5-0", b: "7-0" });
  assert.equal(s.last.url.searchParams.get("a"), "b");
  for (const frame of [joined("5-0", { recovered: true, missed: 2 }, "a"), joined("7-0", { recovered: true, missed: 0 }, "b"),
    message(1, "6-1", "a"), message(2, "8-1", "b"), message("transient", undefined, "a"), message(3, "6-2", "a"), message(4, "6-3", "a")]) {
    await s.last.say(frame);
  }
  assert.deepEqual(heard(c).map(([data, { missed }]) => [data, missed]),
    [[1, true], [2, false], ["transient", false], [3, true], [4, false]]);
  assert.deepEqual(heard(c, "lost"), []);
  await s.last.say(joined("6-3", {}, "a")); // joined again: with nothing replayed
  await s.last.say(message(5, "6-4", "a"));
  assert.deepEqual(heard(c).at(-1)[1], { channel: "a", position: "6-4", missed: false });
  assert.deepEqual(heard(c, "lost"), []);
});

for (const why of ["too_many", "expired", "fork", "unknown"]) {
  test(`what can't be had is lost: ${why}`, async (t) => {
    const s = server(t);
    const c = await s.open({ resume: true });
    await s.last.say(joined("5-0"));
    await s.again();
    await s.last.say(joined("9-40", { recovered: false, why }));
    await s.last.say(message("next", "9-41"));
    assert.deepEqual(heard(c, "lost"), [[{ channel: "room", why }]]);
    assert.deepEqual(heard(c).at(-1)[1], { channel: "room", position: "9-41", missed: false });
    await s.again();
    assert.deepEqual(resumed(s.last), { room: "9-41" });
  });
}

test("a live connection may lose too", async (t) => {
  const s = server(t);
  const c = await s.open({ resume: true });
  await s.last.say(joined("5-0", { recovered: true, missed: 3 }));
  await s.last.say({ event: "lost", channel: "room", position: "8-9", why: "too_many" });
  await s.last.say(message("next", "9-10"));
  assert.deepEqual(heard(c, "lost"), [[{ channel: "room", why: "too_many" }]]);
  assert.equal(heard(c).at(-1)[1].missed, false, "what was owed is lost");
  await s.again();
  assert.deepEqual(resumed(s.last), { room: "9-10" });
});

test("after a lost frame its position is told", async (t) => {
  const s = server(t);
  await s.open({ resume: true });
  await s.last.say({ event: "lost", channel: "room", position: "8-9", why: "fork" });
  await s.again();
  assert.deepEqual(resumed(s.last), { room: "8-9" });
});

test("of many channels the 64 heard last are told; of the others messages may be lost", async (t) => {
  const s = server(t);
  const c = await s.open({ resume: true });
  for (let i = 0; i < 100; i++) await s.last.say(joined(`${i}-0`, {}, `c${i}`));
  await s.last.say(message("x", "1000-1", "c3"));
  await s.again();
  const told = resumed(s.last);
  assert.equal(Object.keys(told).length, 64);
  assert.equal(told.c3, "1000-1");
  assert.ok("c37" in told && !("c36" in told) && "c99" in told);
  await s.last.say(joined("2000-0", {}, "c0"));
  await s.last.say(joined("2000-0", {}, "c0"));
  await s.last.say(joined("2000-0", {}, "new"));
  assert.deepEqual(heard(c, "lost"), [[{ channel: "c0", why: "forgotten" }]]);
});

test("positions go on over attempts in vain", async (t) => {
  const s = server(t);
  await s.open({ resume: true });
  await s.last.say(joined("5-0"));
  await s.last.end(1012);
  await pass(500);
  await s.last.refuse();
  await pass(1000);
  assert.deepEqual(resumed(s.last), { room: "5-0" });
});

test("the parameter has at most 4 KiB, whatever the names", async (t) => {
  const s = server(t);
  await s.open({ resume: true });
  const name = (i) => `${"é€😀".repeat(20)}${i}`; // 180 bytes and more
  for (let i = 0; i < 64; i++) await s.last.say(joined(`1767225600000-${i}`, {}, name(i)));
  await s.again();
  const told = Object.keys(resumed(s.last));
  const bytes = s.last.url.searchParams.get("resume").length;
  assert.ok(bytes <= 4096 && bytes > 3700, `${bytes} bytes`);
  assert.match(s.last.url.searchParams.get("resume"), /^[A-Za-z0-9_-]+$/);
  assert.ok(told.length > 10 && told.length < 20, `${told.length} channels`);
  assert.deepEqual(told, Array.from({ length: told.length }, (_, i) => name(64 - told.length + i)), "those heard last");
});

test("positions of channels that are gone do not gather", async (t) => {
  const s = server(t);
  const c = await s.open({ resume: true });
  for (let i = 0; i < 300; i++) await s.last.say(joined(`${i}-0`, {}, `c${i}`));
  await s.again();
  for (const channel of ["c44", "c43", "c0"]) await s.last.say(joined("2000-0", {}, channel));
  assert.deepEqual(heard(c, "lost"), [[{ channel: "c44", why: "forgotten" }]], "256 are remembered");
});

test("a channel named like what every object has", async (t) => {
  const s = server(t);
  await s.open({ resume: true });
  await s.last.say('{"event":"joined","channel":"__proto__","position":"5-0"}');
  await s.again();
  assert.deepEqual(Object.entries(resumed(s.last)), [["__proto__", "5-0"]]);
  await settle();
});
