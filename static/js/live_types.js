// Counts per type: six with a colour of their own, the rest as one. A type keeps its colour as long
// as it is among the six, so that nothing changes its meaning while it is read.

import { count, rate } from "./figures.js";

const SLOTS = 6;
const SETTLE = 3_000; // milliseconds between two new orders

export class Types {
  #bar;
  #buttons;
  #slots = new Map();
  #settledAt = 0;
  #order = [];

  /** `choose(type)` is called for a click. */
  constructor(bar, choose) {
    this.#bar = bar;
    this.#buttons = Array.from({ length: SLOTS + 1 }, () => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "st";
      button.append(document.createElement("i"), document.createElement("span"), document.createElement("b"));
      button.children[1].className = "clip";
      button.children[2].className = "tab";
      button.hidden = true;
      button.addEventListener("click", () => button.dataset.named && choose(button.dataset.value ?? null));
      bar.append(button);
      return button;
    });
  }

  /** The class of a type's colour. */
  colour(type) {
    return `key k${this.#slots.get(type) ?? 0}`;
  }

  draw({ named, other }, moment) {
    const rates = new Map(named);
    if (moment - this.#settledAt > SETTLE || this.#order.length < Math.min(SLOTS, named.length)) {
      this.#settledAt = moment;
      this.#settle(named.slice(0, SLOTS).map(([type]) => type));
    }
    this.#bar.hidden = !this.#order.length;
    this.#buttons.slice(0, SLOTS).forEach((button, place) => this.#label(button, this.#order[place], rates));
    this.#labelRest(named.filter(([type]) => !this.#slots.has(type)), other);
  }

  clear() {
    this.#slots.clear();
    this.#order = [];
    this.#bar.hidden = true;
  }

  #settle(top) {
    // What stays quiet for a while keeps its place while there is room.
    const order = [...top, ...this.#order.filter((type) => !top.includes(type))].slice(0, SLOTS);
    for (const type of [...this.#slots.keys()]) if (!order.includes(type)) this.#slots.delete(type);
    const free = [1, 2, 3, 4, 5, 6].filter((slot) => ![...this.#slots.values()].includes(slot));
    for (const type of order) if (!this.#slots.has(type)) this.#slots.set(type, free.shift());
    this.#order = order;
  }

  #label(button, type, rates) {
    button.hidden = type === undefined;
    if (button.hidden) return;
    const [key, name, figure] = button.children;
    key.className = this.colour(type);
    set(name, type ?? "no type");
    set(figure, rate(rates.get(type) ?? 0));
    button.dataset.named = "yes";
    if (type === null) delete button.dataset.value;
    else button.dataset.value = type;
    button.title = type === null ? "Show only events without a type" : `Show only ${type}`;
  }

  #labelRest(rest, unnamed) {
    const button = this.#buttons[SLOTS];
    const sum = rest.reduce((all, [, each]) => all + each, unnamed);
    button.hidden = sum === 0;
    button.disabled = true;
    button.children[0].className = "key";
    set(button.children[1], unnamed ? "other types" : `${count(rest.length)} more type${rest.length === 1 ? "" : "s"}`);
    set(button.children[2], rate(sum));
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
