// The messages and the lines between them. Each message is shown once, whatever comes twice: known by user and id.
//
// A seam is where messages may be missing: the top, above all, and a gap, where the client told of a loss. Its button
// asks for those before the message below it. A gap closes when they reach the one above it.

import { comingsText } from "./comings.js";
import { avatar, el, hue, icon, plural } from "./dom.js";

const MOST = 400; // entries kept on the page while its end is in view
const CLOSE = 5 * 60; // seconds: messages of one user so close together stand under one name

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class MessagesView {
  #list;
  #scroller;
  #empty;
  #newer;
  #ask; // (before) => number of the question for messages before a position; 0: there is no connection
  #asked = new Map(); // seam → number of its question
  #top;
  #comings = new WeakMap(); // line → Map of user id → name
  #unseen = 0;
  #pinned = true; // the newest message is in view, and shall stay so

  constructor({ list, scroller, empty, newer, newerText, ask }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#empty = empty;
    this.#newer = newer;
    this.newerText = newerText;
    this.#ask = ask;
    scroller.addEventListener("scroll", () => {
      this.#pinned = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
      if (this.#pinned) {
        this.#seen();
      }
    }, { passive: true });
    newer.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#pinned && this.#scroll()).observe(scroller);
    this.clear();
  }

  clear() {
    this.#asked.clear();
    this.#top = this.#seam("top");
    this.#list.replaceChildren(this.#top);
    this.#empty.hidden = true;
    this.#pinned = true;
    this.#seen();
  }

  // opened: what is wanted can be asked for. closed: what was asked gets no answer.
  opened() {
    for (const seam of this.#list.querySelectorAll("[data-wanted]")) {
      this.#want(seam);
    }
  }

  closed() {
    this.#asked.clear();
  }

  // lost: between the last message that is here and the next one others are missing. The newest of them may be had.
  lost() {
    let seam = [...this.#list.querySelectorAll(`.seam, .message:not([data-pending])`)].at(-1);
    if (seam.classList.contains("message")) {
      seam = this.#seam("gap");
      this.#append(seam, false);
    }
    delete seam.dataset.before;
    this.#asked.delete(seam);
    this.#want(seam);
  }

  // answer puts messages of the history, oldest first, below the seam that they were asked for. They are not read out.
  answer({ ask, messages, more }, myID) {
    const seam = [...this.#asked.keys()].find((s) => this.#asked.get(s) === ask);
    this.#asked.delete(seam);
    if (!seam?.isConnected) {
      return; // of a room or a connection before
    }
    delete seam.dataset.wanted;
    const button = seam.querySelector("button");
    const focused = document.activeElement === button;
    this.#scroller.setAttribute("aria-live", "off");
    const below = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    if (messages) {
      this.#fill(seam, messages, more, myID);
    } else {
      this.#offer(seam, true); // Redis was away
    }
    this.#arranged();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - (this.#pinned ? 0 : below);
    if (focused && !button.offsetParent) {
      this.#scroller.focus({ preventScroll: true }); // the button has gone
    }
    setTimeout(() => this.#scroller.setAttribute("aria-live", "polite"), 500);
  }

  // add shows a message that has come; false when it is here already.
  add(m, position, myID) {
    const known = this.#find(m.user_id, m.id);
    if (known && !("pending" in known.dataset)) {
      return false;
    }
    known?.remove();
    this.#append(this.#item(m, position, myID), m.user_id === myID);
    return true;
  }

  // pending shows a message of one's own that is on its way.
  pending(m, me) {
    if (this.#find(me.id, m.id)) {
      return;
    }
    const li = this.#item({ ...m, user_id: me.id, name: me.name }, null, me.id);
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
    this.#cut();
    this.#arranged();
    if (own || this.#pinned) {
      this.toEnd();
    } else if (li.classList.contains("message")) {
      this.#unseen++;
      this.newerText.textContent = plural(this.#unseen, "new message");
      this.#newer.hidden = false;
    }
  }

  // #cut takes away the oldest entries; the button at the top has them again.
  #cut() {
    if (!this.#pinned || this.#list.children.length <= MOST || "wanted" in this.#top.dataset) {
      return;
    }
    while (this.#list.children.length > MOST) {
      this.#top.nextElementSibling.remove();
    }
    this.#top.dataset.before = this.#list.querySelector("[data-position]")?.dataset.position ?? ""; // "": of the newest
    this.#offer(this.#top, true);
  }

  #seam(kind) {
    const text = kind === "gap" ? [el("span", {}, "Some messages are missing here")] : [];
    const button = el("button", { type: "button" }, icon("up"), "20 earlier messages");
    const seam = el("li", { class: "seam", data: { kind, wanted: "" }, hidden: kind === "top" }, ...text, button);
    button.addEventListener("click", () => this.#want(seam));
    return seam;
  }

  // #want asks for the messages before a seam's position, the newest if it has none; later, without a connection.
  #want(seam) {
    seam.dataset.wanted = "";
    if (this.#asked.has(seam)) {
      return;
    }
    const n = this.#ask(seam.dataset.before || undefined);
    if (n) {
      this.#asked.set(seam, n);
    }
  }

  // #fill puts a page of the history below a seam, or where messages of it are already. It has no holes, down to the
  // message before which it was asked for; so gaps between two of these are closed.
  #fill(seam, messages, more, myID) {
    let place = seam.nextElementSibling;
    const shown = [];
    for (const { position, data: m } of messages) {
      if (m?.event !== "message") {
        continue; // a back end has sent something of its own
      }
      let li = this.#find(m.user_id, m.id);
      if (li && "pending" in li.dataset) {
        place = li === place ? li.nextElementSibling : place;
        li.remove();
        li = null;
      }
      if (!li) {
        li = this.#item(m, position, myID);
        this.#list.insertBefore(li, place);
      } else if (li.dataset.position !== position) {
        continue; // it was sent twice
      }
      place = li.nextElementSibling;
      shown.push(li);
    }
    shown.push(...this.#list.querySelectorAll(`[data-position="${seam.dataset.before}"]`));
    for (let li = shown[0], next; li && li !== shown.at(-1); li = next) {
      next = li.nextElementSibling;
      if (li.classList.contains("seam")) {
        li.remove();
      }
    }
    seam.dataset.before = messages[0]?.position ?? "";
    this.#offer(seam, more);
  }

  // #offer shows whether more can be had at a seam.
  #offer(seam, more) {
    const button = seam.querySelector("button");
    button.hidden = !more;
    seam.hidden = seam === this.#top && !more;
  }

  #item(m, position, myID) {
    const own = m.user_id === myID;
    const when = new Date(m.at * 1000);
    const time = el("time", { datetime: when.toISOString(), title: full.format(when) }, clock.format(when));
    const li = el("li", { class: own ? "message own" : "message", data: { user: m.user_id, id: m.id, at: m.at } },
      avatar(m.user_id, m.name),
      el("div", { class: "bubble" },
        el("span", { class: "author" }, own ? "You" : m.name),
        el("p", { class: "text" }, ...linked(m.text)),
        el("span", { class: "meta" }, time)));
    li.style.setProperty("--hue", hue(m.user_id));
    if (position) {
      li.dataset.position = position;
    }
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
      if (li.classList.contains("seam")) {
        before = before && { ...before, user: "" };
        continue;
      }
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
    this.#empty.hidden = "wanted" in this.#top.dataset || this.#list.querySelector(".message") !== null;
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
