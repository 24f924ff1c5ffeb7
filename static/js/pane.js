// The selected event beside the list, or as a sheet below it on narrow pages.

const PATIENCE = 120; // milliseconds: running through rows loads only where the reader stops

export class Pane {
  #element;
  #split;
  #url;
  #closed;
  #request = null;
  #timer = 0;
  id = null;

  /** `url(id)` is the address of an event's pane; `closed()` is called when the reader closes it. */
  constructor(element, split, url, closed) {
    this.#element = element;
    this.#split = split;
    this.#url = url;
    this.#closed = closed;
    element.addEventListener("click", (event) => {
      if (!event.target.closest("[data-close]")) return;
      event.preventDefault();
      this.#closed();
    });
  }

  get isOpen() {
    return !this.#element.hidden;
  }

  show(id, title) {
    if (id === this.id) return;
    this.id = id;
    this.#element.hidden = false;
    this.#split.classList.add("open");
    this.#element.setAttribute("aria-busy", "true");
    if (!this.#element.childElementCount) this.#say(title, "Loading the event…");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(id, title), PATIENCE);
  }

  close() {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.id = null;
    this.#element.hidden = true;
    this.#split.classList.remove("open");
    this.#element.replaceChildren();
  }

  async #load(id, title) {
    this.#request?.abort();
    this.#request = new AbortController();
    try {
      const answer = await fetch(this.#url(id), { signal: this.#request.signal, headers: { "HX-Request": "true" }, redirect: "error" });
      if (!answer.ok) throw new Error(answer.status === 404 ? "The event is no longer kept." : `The server answered ${answer.status}.`);
      const html = await answer.text();
      if (id === this.id) this.#fill(html);
    } catch (problem) {
      if (problem.name === "AbortError" || id !== this.id) return;
      const words = problem instanceof TypeError ? "EventHub does not answer. The event is kept; try again." : problem.message;
      this.#say(title, words);
    }
    this.#element.removeAttribute("aria-busy");
  }

  #fill(html) {
    this.#element.innerHTML = html;
    this.#element.scrollTop = 0;
    globalThis.htmx?.process(this.#element);
    this.#element.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true, detail: { elt: this.#element } }));
  }

  #say(title, words) {
    const heading = document.createElement("h2");
    heading.textContent = title;
    const line = document.createElement("p");
    line.textContent = words;
    const box = document.createElement("div");
    box.className = "empty";
    box.append(heading, line);
    this.#element.replaceChildren(box);
  }
}
