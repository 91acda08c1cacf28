// What the tests of the client run against: a server whose side of each socket the test plays, and time that passes when
// the test says so.

import { mock } from "node:test";
import { connect } from "../rollcall.js";

const soon = setImmediate; // not mocked

// settle returns when all that follows without time passing has happened.
export const settle = () => new Promise((resolve) => soon(resolve));

// pass lets ms go by, in steps that are finer than any wait of the client.
export async function pass(ms, step = 10) {
  await settle();
  for (let gone = 0; gone < ms; gone += step) {
    mock.timers.tick(Math.min(step, ms - gone));
    await settle();
  }
}

// Socket is a WebSocket or an EventSource. The methods of the server's side have names that neither has.
class Socket {
  readyState = 0;
  sent = []; // {data, at}
  closed; // by the client: {code, reason}

  constructor(url, protocols) {
    this.url = new URL(url);
    this.protocols = protocols;
    this.at = Date.now();
  }

  send(data) {
    if (this.readyState !== 1) throw new Error("InvalidStateError");
    this.sent.push({ data, at: Date.now() });
  }

  close(code, reason) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new Error("InvalidAccessError");
    if (this.readyState >= 2) return;
    this.readyState = 2;
    this.closed = { code, reason };
    soon(() => this.end(code ?? 1005, reason ?? ""));
  }

  accept() {
    this.readyState = 1;
    this.onopen?.({});
    return settle();
  }

  // say sends a frame: a string as it is, anything else as JSON.
  say(frame) {
    const data = typeof frame === "string" || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame);
    this.onmessage?.({ data });
    return settle();
  }

  end(code, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
    return settle();
  }

  // refuse is what browsers tell of a connection that did not come about.
  refuse() {
    this.readyState = 3;
    this.onerror?.({});
    return this.end(1006);
  }

  // stumble is what an EventSource tells that has lost its connection, and will come back by itself.
  stumble() {
    this.readyState = 0;
    this.onerror?.({});
    return settle();
  }

  // fail is what other WebSockets tell of it, and an EventSource that was refused: an error, and no close.
  fail() {
    this.readyState = 3;
    this.onerror?.({});
    return settle();
  }

  texts() {
    return this.sent.map(({ data }) => data);
  }
}

// server makes sockets for one test, in virtual time that begins with it. random is what Math.random gives.
export function server(t, { random = 0.5 } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-01-01T00:00:00Z") });
  mock.method(Math, "random", () => random);
  t.after(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
  const sockets = [];
  const streams = [];
  const made = (list) => class extends Socket {
    constructor(...args) {
      super(...args);
      list.push(this);
    }
  };
  const WebSocket = made(sockets);
  const EventSource = made(streams);
  return {
    sockets,
    streams,
    get last() {
      return sockets.at(-1);
    },
    // next waits for the next socket, and gives it; there must be one within a minute.
    async next(step = 10) {
      const n = sockets.length;
      for (let ms = 0; sockets.length === n; ms += step) {
        if (ms > 60000) throw new Error("no other attempt within a minute");
        await pass(step, step);
      }
      return sockets.at(-1);
    },
    // again ends the connection and accepts the next one.
    async again(step) {
      await this.last.end(1012);
      await (await this.next(step)).accept();
    },
    // client connects to this server. Its log has the events: status as [name, about], others as [event, ...arguments].
    client(options = {}, url = "ws://node/ws/room") {
      const c = connect(url, { WebSocket, EventSource, ...options });
      const log = [];
      c.on("status", (...args) => log.push(args));
      for (const name of ["message", "lost", "token"]) c.on(name, (...args) => log.push([name, ...args]));
      t.after(() => c.close());
      return Object.assign(c, { log });
    },
    // open connects a client and accepts it.
    async open(options, url) {
      const c = this.client(options, url);
      await settle();
      await this.last.accept();
      return c;
    },
  };
}

// browser makes this process tell the client of a browser's events. It gives fire(name, event).
export function browser(t) {
  const events = new EventTarget();
  globalThis.addEventListener = events.addEventListener.bind(events);
  globalThis.removeEventListener = events.removeEventListener.bind(events);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  return (name, about = {}) => {
    events.dispatchEvent(Object.assign(new Event(name), about));
    return settle();
  };
}

// jwt is a token as far as a client looks at it.
export function jwt(seconds, more = {}) {
  const claims = { sub: "ada", exp: seconds === null ? undefined : Math.floor(Date.now() / 1000) + seconds, ...more };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
}
