import { stayConnected } from "./stay_connected.js";

const [title, status, say, renew, about, people, said] =
  ["title", "status", "say", "renew", "token", "people", "said"].map((id) => document.getElementById(id));
let users = {};
let connection = { send: () => false, end() {} }; // none yet
let offered; // the token of a renewal that is not answered yet

// What is after # in an address reaches no server and no log. Here it is taken out of the address bar, too, and kept for
// this tab, so that the page can be loaded again.
function takeFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["token", "room"]) {
    if (given.has(name)) {
      sessionStorage.setItem(name, given.get(name));
    }
  }
  history.replaceState(null, "", location.pathname);
}

function connect() {
  connection.end();
  const token = sessionStorage.getItem("token");
  const room = sessionStorage.getItem("room") || "green";
  title.textContent = `Room ${room}`;
  if (!token) {
    status.textContent = "Open this page with #room=green&token=… behind its address, or give a token below.";
    return;
  }
  const url = `${location.origin.replace("http", "ws")}/ws/room/${encodeURIComponent(room)}`;
  // A token of a renewal is there for the next attempt.
  const open = () => new WebSocket(url, ["rollcall", sessionStorage.getItem("token")]);
  connection = stayConnected(open, (data) => take(JSON.parse(data)), (name, { code, reason }) => {
    if (name === "closed" && code !== 1000) {
      status.textContent = reason || `Closed with ${code}`;
    } else if (name === "waiting" && code === 4401) {
      connection.end(); // this page can't get another token by itself
      status.textContent = "The token has expired: give a new one.";
    } else if (name === "waiting") {
      // A browser does not say why it could not connect; the token may be bad as well.
      status.textContent = "No connection: the node is away, or the token is not good. Trying again…";
    }
  });
}

function take(frame) {
  switch (frame.event) {
    case "welcome":
      status.textContent = `You are ${frame.name}.`;
      break;
    case "presence_state":
      users = frame.payload;
      break;
    case "presence_diff":
      Object.assign(users, frame.payload.joins);
      Object.keys(frame.payload.leaves).forEach((id) => delete users[id]);
      break;
    case "said":
      said.prepend(item(frame.name, frame.text));
      break;
    case "token": // the answer to a renewal
      if (!frame.error) {
        sessionStorage.setItem("token", offered); // for the next connection
      }
      about.textContent = frame.error ? `Not renewed: ${frame.error}.`
        : frame.expires_at ? `Renewed until ${new Date(frame.expires_at * 1000).toLocaleTimeString()}.` : "Renewed for good.";
      break;
  }
  people.replaceChildren(...Object.values(users).map(({ metas }) => item(metas[0].name, metas[0].state)));
}

function item(name, text) {
  const line = document.createElement("li");
  const small = document.createElement("small");
  small.textContent = text;
  line.append(name, small);
  return line;
}

say.addEventListener("submit", (e) => {
  e.preventDefault();
  const input = say.querySelector("input");
  if (input.value.trim() && connection.send(input.value.trim())) {
    input.value = "";
  }
});

// A page with a login of its own asks that for a new token, in time and by itself: see docs/auth.md.
renew.addEventListener("submit", (e) => {
  e.preventDefault();
  const input = renew.querySelector("input");
  const token = input.value.trim();
  input.value = "";
  if (!token) {
    return;
  }
  if (connection.send(JSON.stringify({ event: "token", token }))) {
    offered = token;
  } else {
    sessionStorage.setItem("token", token);
    connect();
  }
});

addEventListener("hashchange", () => {
  if (location.hash) {
    takeFragment();
    connect();
  }
});
takeFragment();
connect();
