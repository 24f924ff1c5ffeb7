// The rate line: what matched, what of it was shown, and hatching for the rest and for the unknown.

import { rate } from "./figures.js";
import { SECONDS } from "./live_rates.js";
import { timeText } from "./times.js";

const WIDTH = 1200;
const HEIGHT = 58;
const STEP = WIDTH / (SECONDS - 1);

export class RateChart {
  #svg;
  #at;
  #words;
  #peak;
  #line = [];

  constructor(root) {
    this.#svg = root.querySelector("#chart");
    this.#at = root.querySelector("#chart-at");
    this.#words = root.querySelector("#chart-words");
    this.#peak = root.querySelector("#peak");
    this.#svg.addEventListener("pointermove", (event) => this.#pointAt(event));
    this.#svg.addEventListener("pointerleave", () => this.#pointAt(null));
  }

  draw(line) {
    this.#line = line;
    const known = line.filter(Boolean);
    const peak = Math.max(0, ...known.map((bin) => bin.matched));
    const y = (value) => (HEIGHT - 1 - (value / (peak * 1.08 || 1)) * (HEIGHT - 6)).toFixed(1);
    const paths = { skipped: "", counted: "", drawn: "", missing: "" };
    for (const [first, last] of spans(line, (bin) => bin !== null)) {
      const along = (field) => {
        const points = [];
        for (let index = first; index <= last; index += 1) points.push(`${(index * STEP).toFixed(1)} ${y(line[index][field])}`);
        return points;
      };
      const [from, to] = [(first * STEP).toFixed(1), (last * STEP).toFixed(1)];
      const matched = along("matched");
      const shown = along("shown");
      paths.counted += `M${matched.join("L")}`;
      paths.skipped += `M${matched.join("L")}L${shown.toReversed().join("L")}Z`;
      paths.drawn += `M${from} ${HEIGHT}L${shown.join("L")}L${to} ${HEIGHT}Z`;
    }
    for (const [first, last] of spans(line, (bin) => bin === null)) {
      const from = Math.max(0, first - 1) * STEP;
      const to = Math.min(SECONDS - 1, last + 1) * STEP;
      paths.missing += `M${from.toFixed(1)} 0H${to.toFixed(1)}V${HEIGHT}H${from.toFixed(1)}Z`;
    }
    for (const [name, path] of Object.entries(paths)) this.#svg.querySelector(`.${name}`).setAttribute("d", path);
    this.#peak.textContent = peak ? `peak ${rate(peak)}/s` : "";
    this.#describe(known);
  }

  #describe(known) {
    const rates = known.map((bin) => bin.matched);
    const words = known.length
      ? `Rate in the last two minutes: between ${rate(Math.min(...rates))} and ${rate(Math.max(...rates))} events a second match; about ${rate(known.at(-1).shown)} a second are on this screen`
      : "Rate in the last two minutes: not known yet";
    this.#svg.setAttribute("aria-label", words);
  }

  #pointAt(event) {
    const box = this.#svg.getBoundingClientRect();
    const index = event ? Math.round(((event.clientX - box.left) / box.width) * (SECONDS - 1)) : -1;
    const bin = this.#line[index];
    this.#at.hidden = !event;
    this.#words.hidden = Boolean(event);
    if (!event) return;
    this.#at.textContent = bin ? `${timeText(bin.second * 1000, "s")} · ${rate(bin.matched)}/s match, ${rate(bin.shown)}/s shown` : "not known: this page was not connected";
  }
}

/** [first, last] of every run of bins for which `holds`. */
function spans(line, holds) {
  const found = [];
  for (let index = 0; index < line.length; index += 1) {
    if (!holds(line[index])) continue;
    if (found.at(-1)?.[1] === index - 1) found.at(-1)[1] = index;
    else found.push([index, index]);
  }
  return found;
}
