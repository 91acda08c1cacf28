// Messages on their way: each is kept until it has come back from the server, through lost connections and reloads, and
// is sent again then. It may so arrive twice; everybody knows a message by its id and shows it once.

const KEY = "rollcall-chat.outbox";
const RETRY = 5000; // ms without an answer
const MOST = 50;

export class Outbox {
  #messages; // [{id, room, text, at, sentAt}], oldest first

  constructor() {
    try {
      this.#messages = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      this.#messages = [];
    }
    this.#forgetSent();
  }

  // add keeps a message; false when there are too many.
  add(message) {
    if (this.#messages.length >= MOST) {
      return false;
    }
    this.#messages.push({ ...message, sentAt: 0 });
    this.#save();
    return true;
  }

  // done forgets a message that has arrived; it tells whether there was one.
  done(id) {
    const before = this.#messages.length;
    this.#messages = this.#messages.filter((m) => m.id !== id);
    this.#save();
    return this.#messages.length < before;
  }

  in(room) {
    return this.#messages.filter((m) => m.room === room);
  }

  // flush sends, in order, what waits for this room and is not on its way; send gives false without a connection.
  flush(room, send) {
    for (const m of this.in(room)) {
      if (Date.now() - m.sentAt < RETRY) {
        continue;
      }
      if (!send({ type: "message", id: m.id, text: m.text })) {
        return;
      }
      m.sentAt = Date.now();
    }
  }

  // lost: what was on its way when the connection ended may not have arrived.
  lost() {
    this.#forgetSent();
  }

  #forgetSent() {
    for (const m of this.#messages) {
      m.sentAt = 0;
    }
  }

  #save() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.#messages));
    } catch {
      // Then they are kept as long as the page.
    }
  }
}
