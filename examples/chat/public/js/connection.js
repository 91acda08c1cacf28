// The page's connection: a WebSocket that comes back (stay_connected.js), JSON frames over it, and what to tell people.

import { stayConnected } from "./stay_connected.js";

// Connection calls
//   url()            for the address, before each attempt,
//   onFrame(frame)   for each message, parsed,
//   onPhase(phase)   with {name: "connecting" | "open" | "waiting" | "offline" | "stopped", until, reason}.
export class Connection {
  #client = null;
  #open = false;

  constructor({ url, onFrame, onPhase }) {
    Object.assign(this, { url, onFrame, onPhase });
    // The browser has lost the network: the socket would notice only after minutes.
    addEventListener("offline", () => this.#open && this.#client.again());
    // A page that comes back from the browser's cache has a dead socket.
    addEventListener("pageshow", (e) => e.persisted && this.#client?.again());
  }

  // send gives false when there is no connection; nothing is kept here.
  send(frame) {
    return this.#client?.send(JSON.stringify(frame)) ?? false;
  }

  // connect connects now, whatever the wait would have been.
  connect() {
    if (this.#client) {
      this.#client.again();
      return;
    }
    this.#client = stayConnected(() => new WebSocket(this.url()), (data) => this.#take(data), (name, details) => {
      this.#open = name === "open";
      this.onPhase(phase(name, details));
    });
  }

  #take(data) {
    const frame = parse(data);
    if (frame) {
      this.onFrame(frame);
    }
  }
}

function phase(name, { retryIn, reason }) {
  if (name === "closed") {
    return { name: "stopped", reason: reason || "The server ended the connection" };
  }
  if (name === "waiting") {
    // Without a network the browser says when that is over.
    return navigator.onLine === false ? { name: "offline" } : { name, until: Date.now() + retryIn };
  }
  return { name };
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return frame && typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}
