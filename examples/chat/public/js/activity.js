// Is somebody at this device? Away: the page is hidden, or nobody has touched anything for a while.

const IDLE = 3 * 60 * 1000; // ms
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

export class Activity {
  #idle = false;
  #timer = 0;
  #last = "";
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    for (const sign of SIGNS) {
      addEventListener(sign, () => this.#touched(), { passive: true });
    }
    document.addEventListener("visibilitychange", () => this.#touched());
    this.#last = this.state;
    this.#touched();
  }

  get state() {
    return document.visibilityState === "hidden" || this.#idle ? "away" : "online";
  }

  #touched() {
    this.#idle = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#idle = true;
      this.#tell();
    }, IDLE);
    this.#tell();
  }

  #tell() {
    if (this.state !== this.#last) {
      this.#last = this.state;
      this.#onChange(this.state);
    }
  }
}
