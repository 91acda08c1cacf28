// When the client comes back, and when it stays away.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect, wait } from "../rollcall.js";
import { browser, pass, server, settle } from "./fake.js";

// The table of close codes in docs/protocol.md, which the nodes' own tests hold against the nodes' code.
const page = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
const codes = [...page.matchAll(/^\| (\d{4}) \| \w+ \| .* \| (.*) \|$/gm)].map(([, code, advice]) => [Number(code), advice]);

test("there is a table of close codes", () => assert.ok(codes.length >= 11, `${codes.length} codes`));

for (const [code, advice] of codes) {
  test(`closed with ${code}: ${advice}`, async (t) => {
    const s = server(t, { random: 0 });
    let asked = 0;
    const c = await s.open({ token: () => `token ${++asked}` });
    await s.last.end(code, "why");
    const [status, about] = c.log.at(-1);
    assert.equal(about.code, code);
    assert.equal(about.reason, "why");
    switch (advice) {
      case "not reconnect":
        assert.equal(status, "closed");
        assert.equal(c.status, "closed");
        await pass(120000, 1000);
        return assert.equal(s.sockets.length, 1);
      case "reconnect":
      case "renew the token, then reconnect":
        assert.deepEqual([status, about.retryIn], ["waiting", 0]);
        await pass(1);
        assert.equal(s.sockets.length, 2);
        return assert.deepEqual(s.last.protocols, ["rollcall", "token 2"]);
      case "reconnect later":
        assert.deepEqual([status, about.retryIn], ["waiting", 1500]);
        await pass(1499);
        assert.equal(s.sockets.length, 1);
        await pass(1);
        return assert.equal(s.sockets.length, 2);
      default:
        assert.fail(`docs/protocol.md has another advice: ${advice}`);
    }
  });
}

test("waits grow, are random, and have a limit", () => {
  const range = (code, attempt) => [wait(code, attempt, 0), wait(code, attempt, 1)];
  assert.deepEqual(range(1006, 0), [0, 500]);
  assert.deepEqual(range(1006, 1), [500, 1000]);
  assert.deepEqual(range(1006, 3), [2000, 4000]);
  assert.deepEqual(range(1006, 40), [10000, 20000]);
  assert.deepEqual(range(1013, 0), [1500, 3000]);
  assert.deepEqual(range(1013, 1), [3000, 6000]);
  assert.deepEqual(range(1011, 40), [10000, 20000]);
  assert.equal(wait(4000, 0), null);
  assert.equal(wait(4999, 0), null);
  assert.equal(wait(3999, 0, 0), 0);
  const some = new Set(Array.from({ length: 20 }, () => wait(1006, 5)));
  assert.ok(some.size > 10, "they are not random");
});

test("a server that refuses for ever is asked ever more rarely", async (t) => {
  for (const [how, refuse] of Object.entries({
    "before it opens": (socket) => socket.refuse(),
    "by an error alone": (socket) => socket.fail(),
    "as soon as it is open": (socket) => socket.accept().then(() => socket.end(1012)),
  })) {
    await t.test(how, async (t) => {
      const s = server(t, { random: 0.999 });
      s.client();
      await settle();
      let refused = 0;
      for (let ms = 0; ms < 600000; ms += 100) {
        while (refused < s.sockets.length) await refuse(s.sockets[refused++]);
        await pass(100, 100);
      }
      const at = s.sockets.map((socket) => socket.at - s.sockets[0].at);
      assert.equal(at.filter((ms) => ms < 1000).length, 2, "in the first second");
      const gaps = at.slice(1).map((ms, i) => ms - at[i]);
      gaps.forEach((gap, i) => assert.ok(i === 0 || gap >= gaps[i - 1] - 200, `${gaps}`));
      assert.ok(gaps.at(-1) >= 19500, `the last wait is ${gaps.at(-1)} ms`);
      assert.ok(at.length < 40, `${at.length} attempts in ten minutes`);
    });
  }
});

test("attempts are counted anew only after a connection has lived for 5 s", async (t) => {
  const s = server(t, { random: 1 });
  const c = await s.open();
  const after = async (ms) => {
    await pass(ms);
    await s.last.end(1012);
    const { retryIn } = c.log.at(-1)[1];
    await pass(retryIn);
    await s.last.accept();
    return retryIn;
  };
  assert.equal(await after(0), 500);
  assert.equal(await after(0), 1000);
  assert.equal(await after(4990), 2000);
  assert.equal(await after(5000), 500);
  assert.equal(await after(4990), 1000);
});

test("offline for a minute", async (t) => {
  const s = server(t);
  const fire = browser(t);
  const c = await s.open();
  await pass(6000);
  await fire("offline");
  assert.equal(c.status, "connecting", "the open connection is taken for lost");
  assert.deepEqual(s.sockets[0].closed, { code: undefined, reason: undefined });
  for (let ms = 0; ms < 60000; ms += 100) {
    if (s.last.readyState === 0) await s.last.refuse();
    await pass(100, 100);
  }
  assert.equal(c.status, "waiting");
  const vain = s.sockets.length;
  assert.ok(vain < 12, `${vain} attempts in a minute`);
  await fire("online");
  assert.equal(s.sockets.length, vain + 1, "online begins an attempt at once");
  await s.last.accept();
  assert.equal(c.status, "open");
  await fire("online");
  assert.equal(s.sockets.length, vain + 1, "and leaves one that is open alone");
  await pass(60000, 1000);
  assert.equal(s.sockets.length, vain + 1, "no timer is left of before");
});

test("online does not bring back who stays away", async (t) => {
  const s = server(t);
  const fire = browser(t);
  const c = await s.open();
  await s.last.end(4403, "no");
  for (const name of ["online", "offline"]) await fire(name);
  await fire("pageshow", { persisted: true });
  assert.equal(c.status, "closed");
  assert.equal(s.sockets.length, 1);
  c.reconnect();
  await settle();
  await s.last.accept();
  await fire("offline");
  assert.equal(s.sockets.length, 3, "after reconnect() it listens again");
});

test("a page that comes out of the browser's cache connects anew", async (t) => {
  const s = server(t);
  const fire = browser(t);
  await s.open();
  await fire("pageshow", { persisted: false });
  assert.equal(s.sockets.length, 1);
  await fire("pageshow", { persisted: true });
  assert.equal(s.sockets.length, 2);
});

test("a refusal that gives an error and a close counts once", async (t) => {
  const s = server(t, { random: 1 });
  const c = s.client();
  await settle();
  await s.last.refuse();
  assert.deepEqual(c.log, [["waiting", { code: 1006, reason: "", retryIn: 500 }]]);
});

test("an error while it is open is followed by a close, which has the code", async (t) => {
  const s = server(t);
  const c = await s.open();
  s.last.onerror({});
  assert.equal(c.status, "open");
  await s.last.end(1013);
  assert.equal(c.log.at(-1)[1].code, 1013);
});

test("an attempt without an answer is given up after 8 s", async (t) => {
  const s = server(t, { random: 1 });
  const c = s.client();
  await pass(7990);
  assert.equal(c.status, "connecting");
  await pass(10);
  assert.deepEqual(c.log, [["waiting", { code: 1006, reason: "no answer", retryIn: 500 }]]);
  assert.ok(s.last.closed, "its socket is closed");
  const late = s.last;
  await pass(500);
  assert.equal(s.sockets.length, 2);
  await late.accept();
  await late.say("late");
  await late.end(4403);
  assert.equal(c.status, "connecting", "what it still tells is of no interest");
  assert.deepEqual(c.log.slice(1), [["connecting", {}]]);
});

test("a WebSocket that throws is an attempt in vain", async (t) => {
  const s = server(t);
  let n = 0;
  const c = s.client({ WebSocket: class { constructor() { n++; throw new Error("SecurityError"); } } });
  await settle();
  assert.equal(c.log.at(-1)[1].reason, "SecurityError");
  await pass(60000, 100);
  assert.ok(n > 3 && n < 12, `${n} attempts`);
});

test("the app's own codes: reconnectOn decides", async (t) => {
  const s = server(t, { random: 1 });
  const asked = [];
  const c = await s.open({ reconnectOn: (code) => asked.push(code) && code === 4999 });
  await s.last.end(4999);
  assert.deepEqual(c.log.at(-1), ["waiting", { code: 4999, reason: "", retryIn: 500 }]);
  await pass(500);
  await s.last.accept();
  for (const code of [1012, 4401, 3000]) {
    await s.last.end(code);
    assert.equal(c.status, "waiting");
    await pass(c.log.at(-1)[1].retryIn);
    await s.last.accept();
  }
  await s.last.end(4400);
  assert.equal(c.status, "closed");
  assert.deepEqual(asked, [4999, 4400], "it is asked of no other code");
});

test("reconnect() connects now, whatever it waits for", async (t) => {
  const s = server(t);
  const c = await s.open();
  await s.last.end(1013);
  c.reconnect();
  await settle();
  assert.equal(s.sockets.length, 2);
  await s.last.accept();
  await pass(30000, 100);
  assert.equal(s.sockets.length, 2, "the wait before is forgotten");
  const old = s.last;
  c.reconnect(); // while it is open
  c.reconnect(); // and while it connects
  await settle();
  await old.say("late");
  assert.ok(old.closed);
  assert.equal(c.log.filter(([name]) => name === "message").length, 0);
  await s.last.accept();
  assert.equal(s.sockets.filter((socket) => !socket.closed && socket.readyState < 2).length, 1, "one socket is left");
  assert.equal(c.status, "open");
});

test("close() is for good", async (t) => {
  const s = server(t);
  const c = await s.open();
  c.close(4000, "bye");
  assert.deepEqual(c.log.at(-1), ["closed", { code: 4000, reason: "bye" }]);
  assert.deepEqual(s.last.closed, { code: 4000, reason: "bye" });
  c.close();
  await pass(60000, 1000);
  assert.equal(s.sockets.length, 1);
  assert.equal(c.log.length, 2, `${c.log}`);
  c.reconnect();
  await settle();
  c.close(); // an attempt, too
  await pass(60000, 1000);
  assert.equal(s.sockets.length, 2);
  assert.deepEqual(s.last.closed, { code: 1000, reason: "" });
});

test("close() with a code that can't be sent throws, and changes nothing", async (t) => {
  const c = await server(t).open();
  assert.throws(() => c.close(1001));
  assert.equal(c.status, "open");
});

test("close() while a token is awaited makes no socket", async (t) => {
  const s = server(t);
  let give;
  const c = s.client({ token: () => new Promise((resolve) => (give = resolve)) });
  await settle();
  c.close();
  give("token");
  await settle();
  assert.equal(s.sockets.length, 0);
});

test("addresses", async (t) => {
  const s = server(t);
  const urlOf = async (url) => {
    const c = s.client({}, url);
    await settle();
    c.close();
    return s.last.url.href;
  };
  assert.equal(await urlOf("wss://host/ws/room/1?a=b#c"), "wss://host/ws/room/1?a=b");
  assert.equal(await urlOf("https://host/x"), "wss://host/x");
  assert.equal(await urlOf(new URL("http://host/x")), "ws://host/x");
  assert.throws(() => connect("/ws/room", { WebSocket: class {} }), TypeError);
  globalThis.location = { href: "https://page/in/here?x" };
  try {
    assert.equal(await urlOf("/ws/room"), "wss://page/ws/room");
  } finally {
    delete globalThis.location;
  }
  assert.throws(() => connect("ws://host/"), /WebSocket/, "Node 20 has none");
});

test("a function of addresses is asked before each attempt", async (t) => {
  const s = server(t);
  let n = 0;
  await s.open({}, async () => `ws://host/${++n}`);
  await s.last.end(1012);
  await pass(500);
  assert.deepEqual(s.sockets.map(({ url }) => url.pathname), ["/1", "/2"]);
});

test("what a listener throws ends nothing", async (t) => {
  const s = server(t);
  const c = s.client();
  const thrown = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (e) => thrown.push(e.message));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of before) process.on("uncaughtException", listener);
  });
  const heard = [];
  c.on("status", () => { throw new Error("mine"); });
  const end = c.on("status", (status) => heard.push(status));
  await settle();
  await s.last.accept();
  await settle();
  assert.deepEqual(thrown, ["mine"]);
  end();
  end();
  await s.last.end(1012);
  assert.deepEqual(heard, ["open"]);
});

test("an event that there is not", async (t) => {
  assert.throws(() => server(t).client().on("mesage", () => {}), TypeError);
});
