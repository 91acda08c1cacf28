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

  show(phase) {
    clearInterval(this.#timer);
    this.#root.dataset.phase = phase.name;
    this.#button.hidden = phase.name !== "waiting" && phase.name !== "stopped";
    this.#seconds.hidden = true;
    switch (phase.name) {
      case "open":
        return this.#say("Connected");
      case "connecting":
        return this.#say("Connecting…");
      case "offline":
        return this.#say("No network");
      case "stopped":
        return this.#say(phase.reason);
      case "waiting":
        this.#say("Reconnecting…");
        this.#count(phase.until);
        this.#timer = setInterval(() => this.#count(phase.until), 250);
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
