// The connection's state in words, with the seconds until the next attempt.

export class Status {
  #root;
  #text;
  #seconds;
  #button;
  #timer = 0;

  constructor({ root, text, seconds, button, onNow }) {
    this.#root = root;
    this.#text = text;
    this.#seconds = seconds;
    this.#button = button;
    button.addEventListener("click", onNow);
  }

  // show takes what the client tells of its status.
  show(status, { reason, retryIn }) {
    clearInterval(this.#timer);
    // Without a network the browser says when that is over.
    const phase = status === "waiting" && navigator.onLine === false ? "offline" : status;
    this.#root.dataset.phase = phase;
    this.#button.hidden = phase !== "waiting" && phase !== "closed";
    this.#seconds.hidden = true;
    switch (phase) {
      case "open":
        return this.#say("Connected");
      case "connecting":
        return this.#say("Connecting…");
      case "offline":
        return this.#say("No network");
      case "closed":
        return this.#say(reason || "The server ended the connection");
      case "waiting": {
        const until = Date.now() + retryIn;
        this.#say("Reconnecting…");
        this.#count(until);
        this.#timer = setInterval(() => this.#count(until), 250);
      }
    }
  }

  // The seconds stand beside the words, and are not read out.
  #count(until) {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    this.#seconds.hidden = seconds < 2;
    this.#seconds.textContent = `${seconds} s`;
  }

  #say(text) {
    if (this.#text.textContent !== text) {
      this.#text.textContent = text;
    }
  }
}
