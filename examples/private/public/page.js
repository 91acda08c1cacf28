const [title, status, say, renew, about, people, said] =
  ["title", "status", "say", "renew", "token", "people", "said"].map((id) => document.getElementById(id));
let users = {};
let socket;
let timer;
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

function connect(attempt = 0) {
  clearTimeout(timer);
  const token = sessionStorage.getItem("token");
  const room = sessionStorage.getItem("room") || "green";
  title.textContent = `Room ${room}`;
  if (!token) {
    status.textContent = "Open this page with #room=green&token=… behind its address, or give a token below.";
    return;
  }
  const mine = new WebSocket(`${location.origin.replace("http", "ws")}/ws/room/${encodeURIComponent(room)}`, ["rollcall", token]);
  socket = mine;
  mine.onopen = () => (attempt = 0);
  mine.onmessage = (e) => take(JSON.parse(e.data));
  mine.onclose = ({ code, reason }) => {
    if (mine !== socket) {
      return; // another one has taken its place
    }
    if (code === 4401 || code === 4403) {
      status.textContent = code === 4401 ? "The token has expired: give a new one." : reason;
      return;
    }
    // A browser does not say why it could not connect; the token may be bad as well.
    status.textContent = "No connection: the node is away, or the token is not good. Trying again…";
    timer = setTimeout(connect, Math.random() * Math.min(20000, 500 * 2 ** attempt), attempt + 1);
  };
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
  if (socket?.readyState === WebSocket.OPEN && input.value.trim()) {
    socket.send(input.value.trim());
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
  if (socket?.readyState === WebSocket.OPEN) {
    offered = token;
    socket.send(JSON.stringify({ event: "token", token }));
  } else {
    sessionStorage.setItem("token", token);
    connect();
  }
});

addEventListener("hashchange", () => {
  if (location.hash) {
    takeFragment();
    const old = socket;
    connect();
    old?.close(1000);
  }
});
takeFragment();
connect();
