// The messages and the lines between them. Each message is shown once, whatever comes twice: known by user and id.

import { comingsText } from "./comings.js";
import { avatar, el, hue, icon, plural } from "./dom.js";

const MOST = 400; // entries kept on the page
const CLOSE = 5 * 60; // seconds: messages of one user so close together stand under one name

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class MessagesView {
  #list;
  #scroller;
  #empty;
  #newer;
  #comings = new WeakMap(); // line → Map of user id → name
  #unseen = 0;
  #pinned = true; // the newest message is in view, and shall stay so

  constructor({ list, scroller, empty, newer, newerText }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#empty = empty;
    this.#newer = newer;
    this.newerText = newerText;
    scroller.addEventListener("scroll", () => {
      this.#pinned = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
      if (this.#pinned) {
        this.#seen();
      }
    }, { passive: true });
    newer.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#pinned && this.#scroll()).observe(scroller);
  }

  clear() {
    this.#list.replaceChildren();
    this.#empty.hidden = true;
    this.#pinned = true;
    this.#seen();
  }

  // history puts remembered messages at their places, those that are here already stay. It is not read out. When it does not
  // reach back to the newest message that is here, a line says so, and what is new comes below it.
  history(messages, myID) {
    this.#scroller.setAttribute("aria-live", "off");
    const last = Number([...this.#list.querySelectorAll(".message:not([data-pending])")].at(-1)?.dataset.n);
    // A counter that went back: Redis has lost the room.
    if (messages.length > 0 && (messages[0].n > last + 1 || messages.at(-1).n < last)) {
      this.#append(line("gap", "Earlier messages are missing here"), false);
    }
    for (const m of messages) {
      const known = this.#find(m.user_id, m.id);
      if (known && !("pending" in known.dataset)) {
        continue;
      }
      known?.remove();
      this.#list.insertBefore(this.#item(m, myID), this.#after(m.n));
    }
    this.#arranged();
    this.#scroll();
    setTimeout(() => this.#scroller.setAttribute("aria-live", "polite"), 500);
  }

  // add shows a message that has come; false when it is here already.
  add(m, myID) {
    const known = this.#find(m.user_id, m.id);
    if (known && !("pending" in known.dataset)) {
      return false;
    }
    known?.remove();
    this.#append(this.#item(m, myID), m.user_id === myID);
    return true;
  }

  // pending shows a message of one's own that is on its way.
  pending(m, me) {
    if (this.#find(me.id, m.id)) {
      return;
    }
    const li = this.#item({ ...m, user_id: me.id, name: me.name }, me.id);
    li.dataset.pending = "";
    li.querySelector(".meta").replaceChildren(icon("clock"), el("span", {}, "waiting to be sent"));
    this.#append(li, true);
  }

  // coming shows that somebody has come ("join") or gone ("leave"). All of one kind between two messages are one line.
  coming(kind, id, name) {
    let li = [...this.#list.children].findLast((entry) => !("pending" in entry.dataset));
    while (this.#comings.has(li) && li.dataset.kind !== kind) {
      li = li.previousElementSibling;
    }
    const names = (this.#comings.get(li) ?? new Map()).set(id, name);
    const text = comingsText(kind, [...names.values()]);
    if (this.#comings.has(li)) {
      li.firstChild.textContent = text;
      return;
    }
    li = line(kind, text);
    this.#comings.set(li, names);
    this.#append(li, false);
  }

  toEnd() {
    this.#pinned = true;
    this.#scroll();
    this.#seen();
  }

  #append(li, own) {
    // What is on its way stays below what has arrived.
    const waiting = "pending" in li.dataset ? null : this.#list.querySelector("[data-pending]");
    this.#list.insertBefore(li, waiting);
    while (this.#list.children.length > MOST) {
      this.#list.firstElementChild.remove();
    }
    this.#arranged();
    if (own || this.#pinned) {
      this.toEnd();
    } else if (li.classList.contains("message")) {
      this.#unseen++;
      this.newerText.textContent = plural(this.#unseen, "new message");
      this.#newer.hidden = false;
    }
  }

  // #after is the first entry below the last gap that is newer than message n, or waits to be sent; null when none is.
  #after(n) {
    const entries = [...this.#list.children];
    const below = entries.slice(entries.findLastIndex((li) => li.dataset.kind === "gap") + 1);
    return below.find((li) => "pending" in li.dataset || Number(li.dataset.n) > n) ?? null;
  }

  #item(m, myID) {
    const own = m.user_id === myID;
    const when = new Date(m.at * 1000);
    const time = el("time", { datetime: when.toISOString(), title: full.format(when) }, clock.format(when));
    const li = el("li", { class: own ? "message own" : "message", data: { user: m.user_id, id: m.id, n: m.n ?? "", at: m.at } },
      avatar(m.user_id, m.name),
      el("div", { class: "bubble" },
        el("span", { class: "author" }, own ? "You" : m.name),
        el("p", { class: "text" }, ...linked(m.text)),
        el("span", { class: "meta" }, time)));
    li.style.setProperty("--hue", hue(m.user_id));
    return li;
  }

  #find(user, id) {
    for (let li = this.#list.lastElementChild; li; li = li.previousElementSibling) {
      if (li.dataset.id === id && li.dataset.user === user) {
        return li;
      }
    }
    return null;
  }

  // #arranged marks which messages begin a group and where a day begins.
  #arranged() {
    let before = null;
    for (const li of this.#list.children) {
      const at = Number(li.dataset.at);
      const sameDay = before && day.format(before.at * 1000) === day.format(at * 1000);
      if (sameDay) {
        li.removeAttribute("data-day");
      } else {
        li.dataset.day = dayName(at);
      }
      const goesOn = sameDay && li.dataset.user !== undefined && before.user === li.dataset.user && at - before.at < CLOSE;
      li.classList.toggle("follows", Boolean(goesOn));
      before = { at, user: li.dataset.user };
    }
    this.#empty.hidden = this.#list.querySelector(".message") !== null;
  }

  #scroll() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #seen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }
}

// line is an entry that is no message.
function line(kind, text) {
  return el("li", { class: "line", data: { kind, at: Math.floor(Date.now() / 1000) } }, el("span", {}, text));
}

function dayName(at) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  const name = day.format(at * 1000);
  if (name === day.format(today)) return "Today";
  if (name === day.format(yesterday)) return "Yesterday";
  return name;
}

// linked makes the web addresses in a text links; everything else stays text.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]'])/).map((part, i) =>
    i % 2 ? el("a", { href: part, target: "_blank", rel: "noopener noreferrer nofollow" }, part) : part);
}
