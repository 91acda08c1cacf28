// The token: where it goes, when a new one is asked for, and its renewal.

import assert from "node:assert/strict";
import { test } from "node:test";
import { jwt, pass, server, settle } from "./fake.js";

// renewals are the tokens that went over a socket.
const renewals = (socket) => socket.texts().map((text) => JSON.parse(text)).filter(({ event }) => event === "token").map(({ token }) => token);

test("a token is a subprotocol", async (t) => {
  const s = server(t);
  await s.open({ token: "abc" });
  assert.deepEqual(s.last.protocols, ["rollcall", "abc"]);
  assert.equal(s.last.url.href, "ws://node/ws/room");
});

test("without a token there is no subprotocol", async (t) => {
  const s = server(t);
  for (const token of [undefined, () => null, async () => ""]) {
    await s.open({ token });
    assert.deepEqual(s.last.protocols, []);
  }
});

test("the function is asked before each attempt", async (t) => {
  const s = server(t);
  let n = 0;
  await s.open({ token: async () => `t${++n}` });
  await s.last.end(4401, "the token has expired");
  await pass(500);
  await s.last.refuse();
  await pass(1000);
  assert.deepEqual(s.sockets.map(({ protocols }) => protocols[1]), ["t1", "t2", "t3"]);
});

test("a function that fails is an attempt in vain", async (t) => {
  const s = server(t, { random: 1 });
  const answers = [new Error("no login"), "not even an error", "token"];
  const c = s.client({ token: async () => {
    const answer = answers.shift();
    if (answer !== "token") throw answer;
    return answer;
  } });
  await pass(1500);
  assert.deepEqual(c.log.map(([status, { reason, retryIn }]) => [status, reason, retryIn]), [
    ["waiting", "no login", 500], ["connecting", undefined, undefined],
    ["waiting", "not even an error", 1000], ["connecting", undefined, undefined]]);
  assert.equal(s.sockets.length, 1);
});

test("a function that does not answer is given up, and its late answer is of no interest", async (t) => {
  const s = server(t);
  const give = [];
  const c = s.client({ token: () => new Promise((resolve) => give.push(resolve)) });
  await pass(8000);
  assert.equal(c.status, "waiting");
  await pass(500);
  give[0]("old");
  await settle();
  assert.equal(s.sockets.length, 0);
  give[1]("new");
  await settle();
  assert.deepEqual(s.sockets.map(({ protocols }) => protocols[1]), ["new"]);
});

test("a token that is a string can't be made new: after 4401 it stays away", async (t) => {
  const s = server(t);
  const c = await s.open({ token: "abc" });
  await s.last.end(4401, "the token has expired");
  assert.deepEqual(c.log.at(-1), ["closed", { code: 4401, reason: "the token has expired" }]);
});

test("it is renewed after three quarters of its time, again and again", async (t) => {
  const s = server(t);
  let n = 0;
  const c = await s.open({ renew: true, token: () => jwt(100, { n: ++n }) });
  await pass(74990);
  assert.equal(renewals(s.last).length, 0);
  await pass(10);
  assert.deepEqual(renewals(s.last).map((token) => JSON.parse(atob(token.split(".")[1])).n), [2]);
  await s.last.say({ event: "token", expires_at: 1767226510 });
  assert.deepEqual(c.log.at(-1), ["token", { expires_at: 1767226510 }], "the answer is no message");
  await pass(75000);
  await s.last.say({ event: "token", expires_at: null });
  assert.equal(renewals(s.last).length, 2);
  assert.equal(s.sockets.length, 1);
});

test("no renewal: not asked for, of a string, of a token without end, of none", async (t) => {
  const s = server(t);
  await s.open({ token: () => jwt(100) });
  await s.open({ renew: true, token: jwt(100) });
  await s.open({ renew: true, token: () => jwt(null) });
  await s.open({ renew: true, token: () => "opaque" });
  await s.open({ renew: true, token: () => "a.%%%.c" });
  await s.open({ renew: true, token: () => null });
  await pass(200000, 1000);
  assert.equal(s.sockets.length, 6);
  for (const socket of s.sockets) assert.deepEqual(socket.sent, []);
});

test("a token of a hundred days: a timer takes 24", async (t) => {
  const s = server(t);
  await s.open({ renew: true, token: () => jwt(100 * 86400) });
  await pass(999999000, 1e7);
  assert.equal(renewals(s.last).length, 0);
  await pass(2000);
  assert.equal(renewals(s.last).length, 1);
});

test("a short token is renewed at most once a second", async (t) => {
  const s = server(t);
  const token = jwt(3);
  await s.open({ renew: true, token: () => token });
  await pass(3000);
  const n = renewals(s.last).length;
  assert.ok(n >= 1 && n <= 3, `${n} renewals`);
});

test("the login is away when a renewal is due: it asks again, ever more rarely", async (t) => {
  const s = server(t);
  let asked = 0;
  let away = false;
  await s.open({ renew: true, token: async () => {
    asked++;
    if (away) throw new Error("no login");
    return jwt(1000);
  } });
  away = true;
  await pass(750000, 100);
  assert.equal(asked, 2);
  await pass(120000, 100);
  assert.ok(asked > 6 && asked < 18, `asked ${asked} times`);
  assert.equal(renewals(s.last).length, 0);
  away = false;
  await pass(20000, 100);
  assert.equal(renewals(s.last).length, 1);
  const then = asked;
  await pass(100000, 100);
  assert.equal(asked, then, "it has time again");
});

test("a renewal that is refused is tried again, ever more rarely", async (t) => {
  const s = server(t);
  const c = await s.open({ renew: true, token: () => jwt(1000) });
  await pass(750000, 1000);
  let answered = 0;
  for (let ms = 0; ms < 120000; ms += 100) {
    if (renewals(s.last).length > answered) {
      answered++;
      await s.last.say({ event: "token", error: "the token is for another user" });
    }
    await pass(100, 100);
  }
  assert.ok(answered > 6 && answered < 18, `${answered} tries`);
  assert.deepEqual(c.log.at(-1), ["token", { error: "the token is for another user" }]);
});

test("a clock that is wrong by more than the token's time makes no flood", async (t) => {
  const s = server(t);
  let asked = 0;
  await s.open({ renew: true, token: () => {
    asked++;
    return jwt(-3600);
  } });
  await pass(120000, 100);
  assert.ok(asked < 18, `asked ${asked} times`);
});

test("a renewal ends with its connection", async (t) => {
  const s = server(t);
  const give = [];
  let waits = false;
  let asked = 0;
  await s.open({ renew: true, token: () => ++asked && waits ? new Promise((resolve) => give.push(resolve)) : jwt(100) });
  await pass(60000, 1000);
  await s.again();
  await pass(60000, 1000);
  assert.equal(asked, 2, "that of the first connection is not asked for");
  waits = true;
  await pass(15000, 100); // a renewal waits for its token
  await s.last.end(1012);
  await pass(500);
  assert.equal(give.length, 2);
  give[1](jwt(100));
  await settle();
  await s.last.accept();
  give[0](jwt(100));
  await settle();
  assert.deepEqual(s.sockets.map(({ sent }) => sent.length), [0, 0, 0]);
});

test("a client that is closed as soon as it is open asks for no token", async (t) => {
  const s = server(t);
  let asked = 0;
  const c = s.client({ renew: true, token: () => {
    asked++;
    return jwt(100);
  } });
  c.on("status", (status) => status === "open" && c.close());
  await settle();
  await s.last.accept();
  await pass(200000, 1000);
  assert.equal(asked, 1);
});

test("an app's own frame named token is a message", async (t) => {
  const s = server(t);
  const c = await s.open();
  await s.last.say({ event: "token", value: 1 });
  assert.deepEqual(c.log.at(-1), ["message", { event: "token", value: 1 }, { missed: false }]);
});
