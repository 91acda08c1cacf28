// Lines like "Ada has joined". Somebody who loads the page anew leaves and joins within a moment; that is no news, so a
// leave is told a little later, unless it was undone.

const LATER = 2500; // ms
const NAMED = 2; // of many that come or go, so many by name

// comingsText says who has come ("join") or gone ("leave"), in one line.
export function comingsText(kind, names) {
  const did = kind === "join" ? "joined" : "left";
  if (names.length === 1) {
    return `${names[0]} has ${did}`;
  }
  const more = names.length - NAMED;
  const listed = more > 1 ? [...names.slice(0, NAMED), `${more} others`] : names;
  return `${listed.slice(0, -1).join(", ")} and ${listed.at(-1)} ${did}`;
}

// Comings calls line(kind, id, name) for each that is to be told.
export class Comings {
  #line;
  #leaving = new Map(); // user id → timer

  constructor(line) {
    this.#line = line;
  }

  joined(id, name) {
    if (this.#leaving.has(id)) {
      this.#forget(id);
      return;
    }
    this.#line("join", id, name);
  }

  left(id, name) {
    this.#forget(id);
    this.#leaving.set(id, setTimeout(() => {
      this.#leaving.delete(id);
      this.#line("leave", id, name);
    }, LATER));
  }

  clear() {
    for (const id of [...this.#leaving.keys()]) {
      this.#forget(id);
    }
  }

  #forget(id) {
    clearTimeout(this.#leaving.get(id));
    this.#leaving.delete(id);
  }
}
