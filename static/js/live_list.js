// The list: a table that draws only the rows in sight, however many there are, so that the page
// costs the same after a day as in its first second. Payloads only ever become text.

import { count, size } from "./figures.js";
import { timeText, utcText } from "./times.js";

const OVERSCAN = 6;

export class LiveList {
  #scroller;
  #body;
  #above;
  #below;
  #pool = [];
  #settings;
  #height = 0;

  /** `settings`: {icons, eventUrl(id), historyUrl(query), colour(type)}. */
  constructor(scroller, body, settings) {
    this.#scroller = scroller;
    this.#body = body;
    this.#settings = settings;
    this.#above = spacer();
    this.#below = spacer();
    body.append(this.#above, this.#below);
  }

  /** Height of a row in pixels; measured, because it depends on the pointer and the width. */
  get rowHeight() {
    return this.#height || 23;
  }

  measure() {
    const row = this.#pool.find((each) => !each.row.hidden)?.row;
    if (row) this.#height = row.getBoundingClientRect().height;
  }

  /** Keeps what the reader sees in its place when `added` rows came above it. */
  keepPlace(added) {
    if (this.#scroller.scrollTop > 0) this.#scroller.scrollTop += added * this.rowHeight;
  }

  bringIntoSight(index) {
    const head = this.#body.parentNode.tHead?.offsetHeight ?? 0;
    const top = index * this.rowHeight;
    const room = this.#scroller.clientHeight - head - this.rowHeight;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top > this.#scroller.scrollTop + room) this.#scroller.scrollTop = top - room;
  }

  draw(items, selected) {
    const { scrollTop, clientHeight } = this.#scroller;
    const visible = Math.ceil((clientHeight || 600) / this.rowHeight) + 2 * OVERSCAN;
    this.#grow(visible);
    const first = Math.max(0, Math.min(Math.floor(scrollTop / this.rowHeight) - OVERSCAN, items.length - visible));
    this.#pool.forEach((entry, place) => {
      const item = place < visible ? items[first + place] : undefined;
      entry.row.hidden = !item;
      if (item) this.#fill(entry, item, first + place, selected);
    });
    stretch(this.#above, first * this.rowHeight);
    stretch(this.#below, Math.max(0, items.length - first - visible) * this.rowHeight);
    this.#body.parentNode.setAttribute("aria-rowcount", String(items.length + 1));
    if (!this.#height && items.length) this.measure();
  }

  #grow(rows) {
    while (this.#pool.length < rows) {
      const entry = makeRow(this.#settings.icons);
      this.#pool.push(entry);
      this.#below.before(entry.row);
    }
  }

  #fill(entry, item, index, selected) {
    const isSelected = item.id === selected;
    if (entry.row.getAttribute("aria-selected") !== String(isSelected)) entry.row.setAttribute("aria-selected", String(isSelected));
    entry.row.setAttribute("aria-rowindex", String(index + 2));
    if (item.time === undefined) return this.#fillSpan(entry, item);
    const colour = this.#settings.colour(item.type);
    if (entry.swatch.className !== colour) entry.swatch.className = colour;
    if (entry.item === item) return;
    entry.item = item;
    entry.row.dataset.id = item.id;
    show(entry, "event");
    entry.link.href = this.#settings.eventUrl(item.id);
    text(entry.link, timeText(item.time));
    entry.link.title = utcText(item.time);
    text(entry.type, item.type ?? "no type");
    entry.type.classList.toggle("faint", item.type === null);
    text(entry.source, item.source);
    text(entry.destination, item.destination);
    text(entry.key, item.key ?? "");
    text(entry.payload, item.preview || (item.size ? `${item.flags.includes("binary") ? "binary" : "blank"}, ${size(item.size)}` : "empty"));
    entry.payload.classList.toggle("faint", !item.preview);
    text(entry.flags, item.flags.filter((flag) => flag !== "binary").join(" · "));
    entry.flags.hidden = !entry.flags.textContent;
  }

  #fillSpan(entry, item) {
    if (entry.item === item) return;
    entry.item = item;
    entry.row.dataset.id = item.id;
    show(entry, item.gap ? "gap" : "hole");
    const span = item.gap ? { ...item.gap.gap, source: item.gap.source } : { ...item.hole, started: item.hole.start, ended: item.hole.end };
    text(entry.word, item.gap ? "gap" : "not shown");
    entry.icon.setAttribute("href", `${this.#settings.icons}#${item.gap ? "gap" : "half"}`);
    text(entry.span, spanText(span.started, span.ended));
    text(entry.why, item.gap ? gapWords(span) : holeWords(span));
    text(entry.where, item.gap ? "Why" : "Read them");
    entry.where.href = this.#settings.historyUrl(span);
  }
}

/** "14:31:52.330 – 52.337": the end without the hour and minute where they are the same. */
function spanText(started, ended) {
  const [from, to] = [timeText(started), timeText(ended)];
  return `${from} – ${to.slice(0, -6) === from.slice(0, -6) ? to.slice(-6) : to}`;
}

function gapWords({ source, reason, missed, destination }) {
  const what = missed === null ? "what passed then may not be here" : `${count(missed)} events are missing`;
  return `${source}${destination ? ` ${destination}` : ""}: ${reason}; ${what}.`;
}

function holeWords({ source, events, reason }) {
  const many = events ? `${count(events)} ${events === 1 ? "event" : "events"} ` : "";
  return `${source ? `${source}: ` : ""}${many}${reason}.`;
}

function show(entry, kind) {
  if (entry.kind === kind) return;
  entry.kind = kind;
  entry.row.className = kind === "event" ? "" : kind;
  for (const cell of entry.cells) cell.hidden = kind !== "event";
  entry.wide.hidden = kind === "event";
}

function makeRow(icons) {
  const entry = { kind: "event", item: null };
  const link = make("a", "", { tabIndex: -1, draggable: false });
  link.dataset.open = "";
  const swatch = make("i", "key");
  const type = make("span", "clip");
  const source = make("span");
  const destination = make("span", "mono");
  const flags = make("span", "badge plain", { hidden: true });
  const payload = make("span");
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "use");
  const word = make("span");
  const span = make("span", "mono tab");
  const why = make("span", "why");
  const where = make("a", "", { tabIndex: -1 });
  const cells = [
    cell("mono tab time", link),
    cell("kind", wrapped("st", swatch, type)),
    cell("dim dest", source, " ", destination),
    cell("mono key-cell"),
    cell("mono dim pay", flags, payload),
  ];
  const wide = cell("wide-cell", wrapped("st", drawing(icons, icon), word), " ", span, " · ", why, " ", where);
  wide.colSpan = 5;
  wide.hidden = true;
  const row = make("tr", "", { hidden: true });
  row.append(...cells, wide);
  return Object.assign(entry, { row, cells, wide, link, swatch, type, source, destination, key: cells[3], flags, payload, icon, word, span, why, where });
}

function drawing(icons, use) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${icons}#gap`);
  svg.append(use);
  return svg;
}

function make(name, className = "", properties = {}) {
  return Object.assign(document.createElement(name), { className, ...properties });
}

function cell(className, ...children) {
  const made = make("td", className);
  made.append(...children);
  return made;
}

function wrapped(className, ...children) {
  const made = make("span", className);
  made.append(...children);
  return made;
}

function spacer() {
  const row = make("tr", "spacer", { hidden: true });
  row.setAttribute("aria-hidden", "true");
  row.append(make("td", "", { colSpan: 5 }));
  return row;
}

function stretch(row, height) {
  row.hidden = height < 1;
  row.firstChild.style.height = `${height}px`;
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
