// The rooms: which one this page is in (the address says so, ?room=), and those to choose from.

import { el, icon } from "./dom.js";

const KEY = "rollcall-chat.rooms";
const ALWAYS = ["lobby", "random", "help"];
const MOST = 12; // in the list

// roomName makes what somebody wrote a room's name: letters, digits, "-" and "_"; "" when nothing is left.
export function roomName(text) {
  return (text ?? "").trim().toLowerCase().replace(/[^a-z0-9_]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40);
}

export class Rooms {
  #root;
  #onSwitch;
  #known;

  constructor({ root, form, input, onSwitch }) {
    this.#root = root;
    this.#onSwitch = onSwitch;
    this.#known = remembered();
    this.current = roomName(new URLSearchParams(location.search).get("room")) || "lobby";
    history.replaceState(null, "", `?room=${this.current}`); // also takes user and name out of the address
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      const name = roomName(input.value);
      input.value = "";
      if (name) {
        this.go(name);
      }
    });
    addEventListener("popstate", () => this.#enter(roomName(new URLSearchParams(location.search).get("room")) || "lobby"));
    this.#show();
  }

  go(room) {
    if (room !== this.current) {
      history.pushState(null, "", `?room=${room}`);
    }
    this.#enter(room);
  }

  #enter(room) {
    const old = this.current;
    this.current = room;
    this.#show();
    this.#onSwitch(room, old);
  }

  #show() {
    if (!ALWAYS.includes(this.current) && !this.#known.includes(this.current)) {
      this.#known = [this.current, ...this.#known].slice(0, MOST - ALWAYS.length);
      try {
        localStorage.setItem(KEY, JSON.stringify(this.#known));
      } catch {
        // Then the list is as long as the page lives.
      }
    }
    this.#root.replaceChildren(...[...ALWAYS, ...this.#known].map((room) => this.#item(room)));
  }

  // #item is a link, so that a room can be opened in another tab; a plain click stays on this page.
  #item(room) {
    const link = el("a", { href: `?room=${room}`, data: { room }, "aria-current": room === this.current ? "page" : null },
      icon("hash"), el("span", {}, room));
    link.addEventListener("click", (e) => {
      if (e.button === 0 && !e.metaKey && !e.ctrlKey && !e.shiftKey && !e.altKey) {
        e.preventDefault();
        this.go(room);
        this.#root.querySelector(`[data-room="${room}"]`)?.focus({ preventScroll: true });
      }
    });
    return el("li", {}, link);
  }
}

function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(list) ? list.map(roomName).filter(Boolean) : [];
  } catch {
    return [];
  }
}
