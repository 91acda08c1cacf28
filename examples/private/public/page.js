import { connect } from "/_client/rollcall.js";

const [title, status, say, renew, about, people, said] =
  ["title", "status", "say", "renew", "token", "people", "said"].map((id) => document.getElementById(id));
let client; // none yet
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

function enter() {
  client?.close();
  client = undefined;
  people.replaceChildren();
  const token = sessionStorage.getItem("token");
  const room = sessionStorage.getItem("room") || "green";
  title.textContent = `Room ${room}`;
  if (!token) {
    status.textContent = "Open this page with #room=green&token=… behind its address, or give a token below.";
    return;
  }
  // The token is asked for before each attempt: that of a renewal is there by then.
  const mine = (client = connect(`/ws/room/${encodeURIComponent(room)}`, { token: () => sessionStorage.getItem("token") }));
  mine.on("status", (now, { code, reason }) => {
    if (now === "closed" && code !== 1000) {
      status.textContent = reason || `Closed with ${code}`;
    } else if (now === "waiting" && code === 4401) {
      mine.close(); // this page can't get another token by itself
      status.textContent = "The token has expired: give a new one.";
    } else if (now === "waiting") {
      // A browser does not say why it could not connect; the token may be bad as well.
      status.textContent = "No connection: the node is away, or the token is not good. Trying again…";
    }
  });
  mine.on("message", (frame) => {
    if (frame.event === "welcome") {
      status.textContent = `You are ${frame.name}.`;
    } else if (frame.event === "said") {
      said.prepend(item(frame.name, frame.text));
    }
  });
  mine.on("token", ({ error, expires_at }) => { // the answer to a renewal
    if (!error) {
      sessionStorage.setItem("token", offered); // for the next connection
    }
    about.textContent = error ? `Not renewed: ${error}.`
      : expires_at ? `Renewed until ${new Date(expires_at * 1000).toLocaleTimeString()}.` : "Renewed for good.";
  });
  const here = mine.presence(`room:${room}`);
  here.on("sync", () => people.replaceChildren(...Array.from(here.users.values(),
    ({ metas }) => item(metas[0].name, metas[0].state))));
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
  if (input.value.trim() && client?.status === "open") {
    client.send(input.value.trim());
    input.value = "";
  }
});

// Where a page has a login, token asks that, and renew: true does the rest: see docs/auth.md.
renew.addEventListener("submit", (e) => {
  e.preventDefault();
  const input = renew.querySelector("input");
  const token = input.value.trim();
  input.value = "";
  if (!token) {
    return;
  }
  if (client?.status === "open") {
    offered = token;
    client.send({ event: "token", token });
  } else {
    sessionStorage.setItem("token", token);
    enter();
  }
});

addEventListener("hashchange", () => {
  if (location.hash) {
    takeFragment();
    enter();
  }
});
takeFragment();
enter();
