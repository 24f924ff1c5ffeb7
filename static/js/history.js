// History: the pane beside the list, the range in the reader's zone, zooming by the histogram.
import { on } from "./keys.js";
import { Pane } from "./pane.js";
import { count } from "./figures.js";
import { timeText } from "./times.js";

const list = document.querySelector("#rows");
const paneElement = document.querySelector("#pane");

function remember(id) {
  const address = new URL(location.href);
  if (id) address.searchParams.set("event", id);
  else address.searchParams.delete("event");
  history.replaceState(null, "", address);
}

function select(id) {
  for (const row of list?.querySelectorAll("tr[aria-selected]") ?? []) row.removeAttribute("aria-selected");
  if (id) list?.querySelector(`tr[data-id="${CSS.escape(id)}"]`)?.setAttribute("aria-selected", "true");
}

function close() {
  const row = list?.querySelector("tr[aria-selected] a[data-open]");
  pane.close();
  select(null);
  remember(null);
  row?.focus({ preventScroll: true });
}

const pane = paneElement && new Pane(paneElement, document.querySelector("#split"), paneUrl, close);

function paneUrl(id) {
  return list.querySelector(`tr[data-id="${CSS.escape(id)}"] a[data-open]`).dataset.pane;
}

function open(row) {
  pane.show(row.dataset.id, row.querySelector(".ty")?.textContent ?? "Event");
  select(row.dataset.id);
  remember(row.dataset.id);
}

list?.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-id]");
  const toElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.button;
  if (!row || toElsewhere || getSelection().toString()) return;
  event.preventDefault();
  open(row);
});

/** Rows of another day need room for their date. */
function fitTimes() {
  const lengths = [...(list?.querySelectorAll("a.row time") ?? [])].map((time) => time.textContent.length);
  const longest = Math.max(0, ...lengths);
  list?.closest("table").classList.toggle("dated", longest > "14:02:07.318".length);
  list?.closest("table").classList.toggle("years", longest > "23 Nov 14:02:07.318".length);
}

document.addEventListener("htmx:load", fitTimes);
fitTimes();

document.addEventListener("eventhub:escape", () => {
  if (pane?.isOpen) close();
});

on("o", () => {
  const more = document.querySelector("[data-more]");
  more?.click();
  return Boolean(more);
});

// The range: fields show the reader's zone, the address says UTC.
const pad = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 23);
const fields = [...document.querySelectorAll("#range [data-ms]")];
for (const field of fields) field.value = pad(new Date(Number(field.dataset.ms)));

const rangeButton = document.querySelector("#range-button");
rangeButton.addEventListener("click", () => {
  const range = document.querySelector("#range");
  range.hidden = !range.hidden;
  rangeButton.setAttribute("aria-expanded", String(!range.hidden));
  if (!range.hidden) fields[0].focus();
});

document.querySelector("#asked").addEventListener("submit", (event) => {
  if (document.querySelector("#range").hidden) return;
  event.preventDefault();
  const address = new URL(event.target.action);
  address.searchParams.set("q", document.querySelector("#q").value);
  for (const field of fields) {
    if (field.value) address.searchParams.set(field.dataset.name, new Date(field.value).toISOString());
  }
  location.assign(address);
});

// A query that could not be read: the cursor goes to the character it is about.
const query = document.querySelector("#q");
if (query.dataset.at) {
  query.focus();
  query.setSelectionRange(Number(query.dataset.at), Number(query.dataset.at) + 1);
}

// The histogram: exact numbers while pointing, the bar's span by a click.
const words = document.querySelector("#bar-words");
const bars = document.querySelector(".hist");
const hint = words ? [...words.childNodes] : [];
const formOf = (bar) => (Number(bar.dataset.to) - Number(bar.dataset.from) >= 86_400_000 ? "day" : "min");
bars?.addEventListener("pointerover", (event) => {
  const bar = event.target.closest("g[data-from]");
  if (!bar) return;
  const [from, to] = [Number(bar.dataset.from), Number(bar.dataset.to)].map((t) => timeText(t, formOf(bar)));
  words.textContent = `${from} – ${to}: ${count(Number(bar.dataset.events))} (${bar.dataset.words})`;
});
bars?.addEventListener("pointerleave", () => words.replaceChildren(...hint));
bars?.addEventListener("click", (event) => {
  const bar = event.target.closest("g[data-from]");
  if (!bar) return;
  const address = new URL(location.href);
  for (const name of ["window", "event", "before", "type", "shown", "now"]) address.searchParams.delete(name);
  address.searchParams.set("from", bar.dataset.from);
  address.searchParams.set("to", bar.dataset.to);
  location.assign(address);
});

// An event that the address names: its row is marked, and its pane knows whose it is.
const opened = new URL(location.href).searchParams.get("event");
if (opened && pane?.isOpen) {
  pane.id = opened;
  select(opened);
}
