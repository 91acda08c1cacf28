import { connect } from "/_client/rollcall.js";

const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const input = form.querySelector("input");
const query = new URLSearchParams(location.search);
const id = query.get("user") || (sessionStorage.id ??= `guest-${Math.random().toString(36).slice(2, 8)}`);
let name = query.get("name") || id;
let users = new Map();

// The address is made for each attempt: with the name of that moment.
const client = connect(() => `/api/custom/_system/online?${new URLSearchParams({ user: id, name })}`);

client.on("status", (now, { reason }) => {
  if (now !== "open") {
    status.textContent = now === "closed" ? `Closed: ${reason}` : "Connecting…";
  }
});

// A script sends what it wants to; this one a list and its changes.
client.on("message", (frame) => {
  if (frame.event === "list") {
    users = new Map(frame.users.map((u) => [u.id, u]));
  } else if (frame.event === "leave") {
    users.delete(frame.user.id);
  } else {
    users.set(frame.user.id, frame.user); // join, update
  }
  show();
});

function show() {
  status.textContent = users.size === 1 ? "Just you. Open this page in another tab." : `${users.size} online`;
  list.replaceChildren(...Array.from(users.values(), (user) => {
    const item = document.createElement("li");
    const mark = document.createElement("small");
    mark.textContent = user.id === id ? "you" : "";
    item.append(user.name, mark);
    return item;
  }));
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  name = input.value.trim() || name;
  if (client.status === "open") { // else the next address has it
    client.send(name);
    users.set(id, { id, name }); // the one who causes an update gets no event of it
    show();
  }
});
input.value = name;
