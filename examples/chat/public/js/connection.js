// A WebSocket that comes back: it connects again after it was lost, with waits that grow and differ from client to client,
// and does what each close code asks for (docs/protocol.md).

const SOON = 500; // ms: the first wait after a connection was lost, doubled with each attempt in vain
const LATER = 3000; // the same when the server asked for patience
const LONGEST = 20000;
const STABLE = 10000; // a connection that lived so long was a good one: the waits start anew
const PATIENCE = 8000; // for one attempt to connect

// What to do after a close code: "now" connect elsewhere at once, "later" after a longer wait, "renew" the token first,
// "stay" away, as connecting again would end in the same way. Codes that are not here: the connection was lost, "soon".
const ADVICE = {
  1000: "stay", // the server was done with this connection
  1001: "now", // the node goes away
  1002: "stay", // malformed frames
  1007: "stay", // not UTF-8
  1008: "later", // too many messages
  1009: "stay", // a message too big
  1011: "later", // the handler failed
  1012: "now", // the node drains before a restart
  1013: "later", // too slow, or the node is overloaded
  4401: "renew", // the token has expired
  4403: "stay", // the handler refused
};

// plan says whether to connect again and after how many ms. attempt counts the failed ones in a row, from 0. Without the
// random part all clients of a node that went down would come to the next one in the same moment.
export function plan(code, attempt, random = Math.random) {
  const advice = ADVICE[code] ?? (code >= 4000 ? "stay" : "soon");
  if (advice === "stay" || advice === "renew") {
    return { advice, wait: null };
  }
  const longest = Math.min(LONGEST, (advice === "later" ? LATER : SOON) * 2 ** attempt);
  const shortest = advice === "later" ? longest / 2 : 0;
  return { advice, wait: Math.round(shortest + random() * (longest - shortest)) };
}

// Connection calls
//   url()            for the address, before each attempt,
//   onFrame(frame)   for each message, parsed,
//   onPhase(phase)   with {name: "connecting" | "open" | "waiting" | "offline" | "stopped", until, reason}.
export class Connection {
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #openedAt = 0;

  constructor({ url, onFrame, onPhase }) {
    Object.assign(this, { url, onFrame, onPhase });
    addEventListener("online", () => this.connect());
    addEventListener("offline", () => this.#drop());
    // A page that comes back from the browser's cache has a dead socket.
    addEventListener("pageshow", (e) => e.persisted && this.connect());
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // send gives false when there is no connection; nothing is kept here.
  send(frame) {
    if (!this.open) {
      return false;
    }
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  // connect connects now, whatever the wait would have been.
  connect() {
    clearTimeout(this.#timer);
    this.#abandon();
    this.#openedAt = 0;
    this.onPhase({ name: "connecting" });
    const socket = new WebSocket(this.url());
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(socket, 1006, ""), PATIENCE);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#openedAt = Date.now();
      this.onPhase({ name: "open" });
    };
    socket.onmessage = (e) => {
      const frame = parse(e.data);
      if (frame) {
        this.onFrame(frame);
      }
    };
    socket.onclose = (e) => this.#lost(socket, e.code, e.reason);
  }

  #lost(socket, code, reason) {
    if (socket !== this.#socket) {
      return; // one that was given up before
    }
    clearTimeout(this.#timer);
    this.#abandon();
    this.#attempt = this.#openedAt && Date.now() - this.#openedAt > STABLE ? 0 : this.#attempt;
    const { advice, wait } = plan(code, this.#attempt);
    this.#attempt++;
    if (wait === null) {
      this.onPhase({ name: "stopped", reason: advice === "renew" ? "Your session has ended" : reason || "The server ended the connection" });
    } else if (navigator.onLine === false) {
      this.onPhase({ name: "offline" }); // the browser says when that is over
    } else {
      this.#timer = setTimeout(() => this.connect(), wait);
      this.onPhase({ name: "waiting", until: Date.now() + wait });
    }
  }

  // #drop: the browser has lost the network; the socket would notice only after minutes.
  #drop() {
    if (this.#socket) {
      this.#lost(this.#socket, 1006, "");
    }
  }

  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return frame && typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}
