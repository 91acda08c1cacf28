// The page of customers (?user=ann) and of agents (?agent=eve).
import { connect } from "/_client/rollcall.js";

const [status, list, title, log, talk, form] = ["#status", "#customers", "#title", "#log", "#talk", "form"]
  .map((s) => document.querySelector(s));
const query = new URLSearchParams(location.search);
const agent = query.get("agent");
const me = agent || query.get("user") || "ann";
const client = connect(`/ws/${agent ? "agent" : "customer"}?${new URLSearchParams({ user: me })}`);
const desk = client.presence("desk");
const customers = new Map(); // id → {id, last_seen, presence, messages by their number, unread: those numbers}
let shown = agent ? null : customer({ user_id: me });
let since = null; // ms; what came after it, and this page has not seen, is unread. null: before the first welcome

client.on("message", (frame) => {
  if (frame.event === "welcome") {
    // Later ones follow a lost connection: all that is new is unread then.
    since = since !== null ? 0 : frame.me.online ? Infinity : frame.me.last_seen ?? 0;
    frame.customers?.forEach(customer);
    shown ??= customers.values().next().value;
  } else if (frame.event === "customer") {
    if (!customers.has(frame.user.user_id)) client.send({ watch: frame.user.user_id });
    customer(frame.user);
    shown ??= customers.values().next().value;
  } else if (frame.event === "history") {
    for (const { data, timestamp } of frame.messages) take(data, timestamp > since);
  } else if (frame.event === "said") {
    take(frame, agent && shown?.id !== frame.customer);
  }
  draw();
});
client.on("status", draw);
desk.on("sync", draw);

// customer adds one, or takes news of one.
function customer({ user_id: id, last_seen }) {
  if (!customers.has(id)) {
    const presence = client.presence(`@${id}`);
    customers.set(id, { id, presence, messages: new Map(), unread: new Set() });
    presence.on("sync", draw);
    presence.on("leave", () => client.send({ watch: id })); // the answer has last_seen
  }
  return Object.assign(customers.get(id), { last_seen });
}

function take(said, unread) {
  const of = customers.get(said.customer) ?? customer({ user_id: said.customer });
  if (unread && !of.messages.has(said.n) && (said.from === said.customer) === !!agent) of.unread.add(said.n);
  of.messages.set(said.n, said);
}

function draw() {
  if (client.status !== "open") {
    status.textContent = client.status === "closed" ? "Closed." : "Connecting…";
    return;
  }
  const online = [...customers.values()].filter((c) => c.presence.count).length;
  const agents = [...desk.users.keys()].join(", ");
  const sentences = [`You are ${me}.`];
  if (agent) sentences.push(`Customers online: ${online} of ${customers.size}.`);
  else sentences.push(agents ? `At the desk: ${agents}.` : "Nobody is at the desk: the answer will wait for you here.");
  if (!agent && shown.unread.size) sentences.push(`While you were away: ${shown.unread.size} new.`);
  status.textContent = sentences.join(" ");
  title.textContent = agent ? shown?.id ?? "No customers yet" : "Your messages";
  form.hidden = !shown;
  list.hidden = !agent;
  if (agent) drawCustomers();
  const messages = [...shown?.messages.values() ?? []].sort((a, b) => a.n - b.n);
  talk.replaceChildren(...messages.map((m) => {
    const item = line(m.text, `${m.from === me ? "you" : m.from}, ${time(m.at * 1000)}`);
    item.className = `${m.from === me ? "mine" : ""} ${shown.unread.has(m.n) ? "new" : ""}`;
    return item;
  }));
  log.scrollTop = log.scrollHeight;
}

function drawCustomers() {
  const focused = document.activeElement?.dataset.id;
  list.replaceChildren(...Array.from(customers.values(), (c) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.dataset.id = c.id;
    button.className = c.presence.count ? "online" : "";
    button.setAttribute("aria-pressed", c === shown);
    button.append(...line(c.unread.size ? `${c.id} (${c.unread.size} new)` : c.id,
      c.presence.count ? "online" : c.last_seen ? `seen ${time(c.last_seen)}` : "offline").childNodes);
    button.onclick = () => {
      shown?.unread.clear(); // they were marked while they were looked at
      shown = c;
      draw();
    };
    item.append(button);
    return item;
  }));
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

// line is an entry of a list: a text, and a small one beside it.
function line(text, small) {
  const item = document.createElement("li");
  const [big, beside] = [document.createElement("span"), document.createElement("small")];
  big.textContent = text;
  beside.textContent = small;
  item.append(big, beside);
  return item;
}

function time(ms) {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" });
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  const input = form.querySelector("input");
  if (!input.value.trim()) return;
  client.send(agent ? { to: shown.id, text: input.value } : { text: input.value });
  shown.unread.clear(); // who answers has read them
  input.value = "";
  draw();
});
