import { connect } from "/_client/rollcall.js";

const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const user = new URLSearchParams(location.search).get("user") || "ada";
const client = connect(`/ws/notifications?user=${encodeURIComponent(user)}`);

client.on("message", show);
client.on("status", (now, { code, reason }) => {
  status.textContent = now === "open" ? `Listening as ${user}. Open ?user=bob for somebody else.`
    : now === "connecting" ? "Connecting…" : `Closed with ${code} ${reason}`;
});

function show(note) {
  const item = document.createElement("li");
  const time = document.createElement("small");
  time.textContent = new Date(note.at * 1000).toLocaleTimeString();
  item.append(note.title, time);
  list.prepend(item);
}

// What a back end would do.
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  const input = form.querySelector("input");
  await fetch(`/notify/${encodeURIComponent(user)}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ title: input.value }),
  });
  input.value = "";
});
