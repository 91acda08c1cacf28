// stay_connected.js: a WebSocket that comes back.

const FOR_GOOD = [1000, 1002, 1007, 1009]; // connecting again would end in the same way; so it would from 4000 on
const LATER = [1008, 1011, 1013]; // the node wants to be left alone for some seconds
const GOOD = 5000; // ms: only after a connection has lived so long does counting begin anew
const PATIENCE = 8000; // ms for an attempt to connect

// wait says after how many ms to connect again, or null: stay away. attempt counts those in vain, from 0.
export function wait(code, attempt, random = Math.random()) {
  if (FOR_GOOD.includes(code) || (code >= 4000 && code !== 4401)) return null;
  const later = LATER.includes(code);
  const longest = Math.min(20000, (later ? 3000 : 500) * 2 ** attempt);
  const shortest = later || attempt > 0 ? longest / 2 : 0;
  return shortest + random * (longest - shortest);
}

// stayConnected keeps a WebSocket open.
//   open()                 makes it, or promises it; called before each attempt, so that it can get a fresh token first
//   receive(data)          gets each message
//   status(name, details)  "connecting"; "open", {socket}; "waiting", {code, reason, retryIn}; or, for good,
//                          "closed", {code, reason}
export function stayConnected(open, receive, status = () => {}) {
  let current = {}; // the attempt that counts: what older ones still tell is of no interest
  let timer;
  let attempts = 0; // in vain

  // turn ends what was and begins what is next: with an attempt of its own, or with doing something after some ms.
  function turn(next, name, details = {}, after = undefined, ms = 0) {
    clearTimeout(timer);
    if (after) timer = setTimeout(after, ms);
    const { socket } = current;
    current = next;
    socket?.close();
    status(name, details);
  }

  async function connect() {
    const mine = {};
    const lost = ({ code = 1006, reason = "" } = {}) => {
      if (mine !== current) return;
      if (mine.opened && Date.now() - mine.opened >= GOOD) attempts = 0;
      const retryIn = wait(code, attempts++);
      if (retryIn === null) turn({ over: true }, "closed", { code, reason });
      else turn({}, "waiting", { code, reason, retryIn }, connect, retryIn);
    };
    turn(mine, "connecting", {}, lost, PATIENCE);
    try {
      const socket = await open();
      if (mine !== current) return socket.close();
      mine.socket = socket;
      socket.onopen = () => {
        if (mine !== current) return;
        clearTimeout(timer);
        mine.opened = Date.now();
        status("open", { socket });
      };
      socket.onmessage = ({ data }) => mine === current && receive(data);
      socket.onclose = lost;
    } catch {
      lost(); // no token, say
    }
  }

  const online = () => current.opened || current.over || connect();
  addEventListener("online", online);
  connect();
  return {
    // send gives false while there is no connection; nothing is kept here.
    send(data) {
      if (!current.opened || current.socket.readyState !== WebSocket.OPEN) return false;
      current.socket.send(data);
      return true;
    },
    again: connect, // now, whatever the wait would have been
    end() {
      removeEventListener("online", online);
      current.socket?.close(1000); // on purpose, so that nobody waits for it to come back
      turn({ over: true }, "closed", { code: 1000, reason: "" });
    },
  };
}
