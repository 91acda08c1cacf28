// Who is writing. Frames say when somebody begins and ends; as an end may get lost, a beginning counts only for a while
// and is told again while the writing goes on.

const AGAIN = 3000; // ms between two frames of somebody who goes on writing
const COUNTS = 6000; // how long one frame counts
const PAUSE = 4000; // without a key: not writing any more

// Writing tells the server about this page's field.
export class Writing {
  #send;
  #told = 0; // when; 0: it is told that nobody writes here
  #timer = 0;

  constructor(send) {
    this.#send = send;
  }

  key(hasText) {
    clearTimeout(this.#timer);
    if (!hasText) {
      this.stop();
      return;
    }
    if (Date.now() - this.#told > AGAIN && this.#send({ type: "typing", on: true })) {
      this.#told = Date.now();
    }
    this.#timer = setTimeout(() => this.stop(), PAUSE);
  }

  // sent: a message ends the writing by itself.
  sent() {
    clearTimeout(this.#timer);
    this.#told = 0;
  }

  stop() {
    if (this.#told) {
      this.#send({ type: "typing", on: false });
    }
    this.sent();
  }
}

// Writers are the others who write now.
export class Writers {
  #timers = new Map(); // user id → timer
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  set(id, on) {
    const was = this.#timers.has(id);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    if (on) {
      this.#timers.set(id, setTimeout(() => this.set(id, false), COUNTS));
    }
    if (was !== on) {
      this.#onChange();
    }
  }

  clear() {
    for (const id of this.ids()) {
      this.set(id, false);
    }
  }

  has(id) {
    return this.#timers.has(id);
  }

  ids() {
    return [...this.#timers.keys()];
  }
}
