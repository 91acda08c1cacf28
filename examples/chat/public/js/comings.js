// Lines like "Ada has joined". Somebody who loads the page anew leaves and joins within a moment; that is no news, so a
// leave is told a little later, unless it was undone.

const LATER = 2500; // ms

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
    this.#line(`${name} has joined`, "join");
  }

  left(id, name) {
    this.#forget(id);
    this.#leaving.set(id, setTimeout(() => {
      this.#leaving.delete(id);
      this.#line(`${name} has left`, "leave");
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
