// The messages and the lines between them. Each message is shown once, whatever comes twice: known by user and id.

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

  // history puts remembered messages at their places, those that are here already stay. It is not read out.
  history(messages, myID) {
    this.#list.setAttribute("aria-live", "off");
    for (const m of messages) {
      const known = this.#find(m.user_id, m.id);
      if (known && !("pending" in known.dataset)) {
        continue;
      }
      known?.remove();
      const later = [...this.#list.children].find((li) => "pending" in li.dataset || Number(li.dataset.n) > m.n);
      this.#list.insertBefore(this.#item(m, myID), later ?? null);
    }
    this.#arranged();
    this.#scroll();
    setTimeout(() => this.#list.setAttribute("aria-live", "polite"), 500);
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

  // line shows something that is no message: somebody has come or gone.
  line(text, kind) {
    this.#append(el("li", { class: "line", data: { kind, at: Math.floor(Date.now() / 1000) } }, el("span", {}, text)), false);
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
