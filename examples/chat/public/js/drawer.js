// On a narrow screen the list of rooms and people lies over the page, and can be opened and closed.

export class Drawer {
  #panel;
  #opener;
  #narrow = matchMedia("(max-width: 760px)");

  constructor({ panel, opener, closer, backdrop, behind }) {
    this.#panel = panel;
    this.#opener = opener;
    this.behind = behind;
    opener.addEventListener("click", () => this.#set(true));
    closer.addEventListener("click", () => this.close());
    backdrop.addEventListener("click", () => this.close());
    addEventListener("keydown", (e) => e.key === "Escape" && this.#open && this.close());
    this.#narrow.addEventListener("change", () => this.#set(false));
    this.#set(false);
  }

  get #open() {
    return document.body.dataset.drawer === "open";
  }

  close() {
    if (this.#open) {
      this.#set(false);
      this.#opener.focus();
    }
  }

  #set(open) {
    document.body.dataset.drawer = open ? "open" : "closed";
    this.#opener.setAttribute("aria-expanded", String(open));
    // What cannot be seen must not be reached by keyboard either.
    this.#panel.inert = this.#narrow.matches && !open;
    this.behind.inert = open;
    if (open) {
      this.#panel.querySelector("[aria-current]")?.focus();
    }
  }
}
