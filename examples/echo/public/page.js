import { connect } from "/_client/rollcall.js";

const [form, list, status] = ["form", "ul", "#status"].map((s) => document.querySelector(s));
const [path, input] = [form.querySelector("select"), form.querySelector("input")];
let client;

function open() {
  client?.close();
  list.replaceChildren();
  const mine = (client = connect(path.value));
  mine.on("status", (now, { code, reason }) => {
    if (mine === client) {
      status.textContent = now === "open" ? `Connected to ${path.value}`
        : now === "closed" ? `Closed with ${code} ${reason}. Choose a handler to connect again.` : "Connecting…";
    }
  });
  mine.on("message", (text) => {
    const item = document.createElement("li");
    item.textContent = text; // never innerHTML: it would run what somebody else wrote
    list.prepend(item);
  });
}

path.addEventListener("change", open);
form.addEventListener("submit", (e) => {
  e.preventDefault();
  if (input.value) {
    client.send(input.value);
    input.value = "";
  }
});
open();
