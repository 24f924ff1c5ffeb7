// The live page: events of the socket into a list that the reader can stop, and figures beside it.

import { rate } from "./figures.js";
import { on } from "./keys.js";
import { RateChart } from "./live_chart.js";
import { LiveList } from "./live_list.js";
import { Pane } from "./pane.js";
import { Rates } from "./live_rates.js";
import { LiveSocket } from "./live_socket.js";
import { connectionWords, sample, statement } from "./live_statement.js";
import { idAt, Stream } from "./live_stream.js";
import { Types } from "./live_types.js";

const FIGURES_EVERY = 250; // milliseconds; a figure that changes faster cannot be read
const BUDGET = 120;

const root = document.querySelector("#live");
const part = (name) => root.querySelector(`#${name}`);
const box = part("query");
const scroller = part("rows");
const eventUrl = (id) => root.dataset.event.replace(root.dataset.anyEvent, id);
const paneUrl = (id) => root.dataset.pane.replace(root.dataset.anyEvent, id);

const page = { connection: { name: "connecting" }, wasConnected: false, trouble: null, broken: null, hasFilter: false, query: "" };
const stream = new Stream();
const rates = new Rates();
const chart = new RateChart(root);
const types = new Types(part("legend"), narrowTo);
const list = new LiveList(scroller, part("body"), { icons: root.dataset.icons, eventUrl, historyUrl, colour: (type) => types.colour(type) });
const pane = new Pane(part("pane"), part("split"), paneUrl, unselect);
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new LiveSocket(`${scheme}//${location.host}/ws/live/`, hear, connectionChanged);

let selected = null;
let pausedBySelecting = false;
let skippedUntil = 0; // server's time of the last frame that left something out
let drawing = 0;

// --- what comes

function hear(message) {
  if (message.type === "ready") accepted(message.filter);
  else if (message.type === "error") refuse(message);
  else if (message.type === "frame") take(message);
}

function accepted(query) {
  showBroken(null);
  if (page.hasFilter && query === page.query) return;
  Object.assign(page, { hasFilter: true, query });
  unselect();
  stream.paused = false;
  stream.held = false;
  stream.clear();
  rates.clear();
  types.clear();
  skippedUntil = 0;
  scroller.scrollTop = 0;
  const url = new URL(location.href);
  if (query) url.searchParams.set("q", query);
  else url.searchParams.delete("q");
  history.replaceState(null, "", url);
  redraw();
  drawFigures();
}

function take(frame) {
  page.trouble = frame.trouble;
  const fresh = frame.events.filter((row) => !stream.has(row.id));
  const known = frame.events.length - fresh.length;
  const late = frame.again.filter((row) => row.time > skippedUntil && !stream.has(row.id));
  if (frame.matched > frame.events.length) skippedUntil = frame.end;
  // What was there before the page was opened is shown, but it is not of this time.
  const missed = socket.resumed ? late.length : 0;
  rates.add({ ...frame, matched: frame.matched - known + missed }, fresh.length + missed);
  const spans = [
    ...frame.gaps.map((gap) => ({ id: `${idAt(gap.gap.ended)}${gap.source}${gap.gap.destination ?? ""}`, gap })),
    ...frame.holes.map((hole) => ({ id: `${idAt(hole.end)}hole${hole.source ?? ""}`, hole })),
  ];
  root.dataset.matched = rates.total.matched;
  root.dataset.shown = rates.total.shown;
  const items = [...late, ...fresh, ...spans].sort((one, two) => (one.id < two.id ? -1 : 1));
  if (!items.length) return;
  list.keepPlace(stream.arrive(items));
  redraw();
}

function connectionChanged(state) {
  page.connection = state;
  page.wasConnected ||= state.name === "connected";
  drawFigures();
}

// --- what is drawn

function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    list.draw(stream.items, selected);
    drawEmpty();
  });
}

function drawEmpty() {
  const empty = part("empty");
  empty.hidden = stream.items.length > 0;
  scroller.classList.toggle("bare-list", !empty.hidden);
  if (empty.hidden || !part("empty-title")) return;
  const { passed } = rates.perSecond ?? { passed: 0 };
  const title = page.query ? "Nothing matches yet" : "Waiting for the first event";
  const observed = passed ? `${rate(passed)} events a second are observed, and none of them matches this filter so far.` : "Nothing is observed right now, whatever the filter.";
  const words = page.query
    ? `${observed} New ones appear here as they come.`
    : "No source has received anything since this page was opened. Events appear here within a second of being published.";
  write(part("empty-title"), page.broken && !page.hasFilter ? "The filter cannot be read" : title);
  write(part("empty-words"), page.broken && !page.hasFilter ? "Mend it above, or show everything." : words);
  part("empty-all").hidden = !box.value;
  part("empty-history").href = `${root.dataset.history}?${new URLSearchParams(page.query ? { q: page.query } : {})}`;
}

function drawFigures() {
  const perSecond = rates.perSecond;
  write(part("rate"), perSecond ? rate(perSecond.matched) : "–");
  part("rate-of").hidden = !page.query;
  const { share, drawn } = sample(perSecond);
  write(part("shown"), share);
  write(part("shown-rate"), drawn);
  chart.draw(rates.line());
  types.draw(rates.types(), performance.now());
  drawStatement(perSecond);
  const connection = connectionWords(page);
  drawState(document.querySelector("#connection"), connection.icon, connection.tone);
  write(document.querySelector("#connection-words"), connection.words);
  write(document.querySelector("#budget"), perSecond ? `${rate(perSecond.shown)}/s on this screen, about ${BUDGET}/s at most` : "");
  redraw();
}

function drawStatement(perSecond) {
  const said = statement({ ...page, stream, perSecond, pausedAt: stream.pausedAt, passedSince: rates.total.matched - stream.matchedBefore, unchecked: rates.total.unchecked });
  const place = part("statement");
  place.className = `statement ${said.tone === "" || said.tone === "ok" ? "" : `told ${said.tone}`}`;
  drawState(part("statement-icon"), said.icon, said.tone);
  write(part("statement-strong"), said.strong);
  write(part("statement-words"), said.words);
  write(part("statement-more"), said.more ?? "");
  const act = part("statement-act");
  act.hidden = !said.act;
  write(act, said.act?.words ?? "");
  act.dataset.act = said.act?.name ?? "";
}

function drawState(place, icon, tone) {
  place.className = `st ${tone}`;
  place.querySelector("use").setAttribute("href", `${root.dataset.icons}#${icon}`);
}

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// --- stopping and going on

function drawControls() {
  const focus = document.activeElement;
  part("pause").hidden = stream.paused;
  part("step").hidden = !stream.paused;
  part("resume").hidden = !stream.paused;
  root.classList.toggle("paused", stream.paused);
  if (focus === part("pause") && stream.paused) part("resume").focus();
  if (focus === part("resume") && !stream.paused) part("pause").focus();
  drawFigures();
}

function pause(bySelecting = false) {
  if (stream.paused) return;
  Object.assign(stream, { paused: true, pausedAt: Date.now(), pausedEnd: rates.now(), matchedBefore: rates.total.matched });
  pausedBySelecting = bySelecting;
  drawControls();
}

function resume() {
  if (!stream.paused) return;
  stream.paused = false;
  goOn();
  drawControls();
}

function goOn() {
  list.keepPlace(stream.goOn());
  redraw();
}

function step() {
  pause();
  list.keepPlace(stream.step());
  redraw();
}

function jump() {
  if (stream.paused) {
    unselect(false);
    stream.jump(stream.pausedEnd, rates.now(), rates.total.matched - stream.matchedBefore);
    drawControls();
  }
  scroller.scrollTop = 0;
  redraw();
}

function hold(event) {
  // A pointer that only lies there while rows move below it asks for nothing.
  if (event.pointerType === "touch" || (!event.movementX && !event.movementY)) return;
  if (stream.held || !stream.items.length) return;
  stream.held = true;
  drawFigures();
}

function release() {
  if (!stream.held) return;
  stream.held = false;
  if (!stream.paused) goOn();
  drawFigures();
}

// --- selecting

function select(id, { open = true } = {}) {
  const item = stream.items.find((each) => each.id === id);
  if (!item || item.time === undefined) return;
  selected = id;
  pause(true);
  if (open) pane.show(id, item.type ?? "Event");
  list.draw(stream.items, selected);
}

function unselect(andGoOn = true) {
  if (selected === null && !pane.isOpen) return;
  const focusWasInside = part("pane").contains(document.activeElement);
  selected = null;
  pane.close();
  if (focusWasInside) scroller.focus({ preventScroll: true });
  if (andGoOn !== false && pausedBySelecting) resume();
  redraw();
}

function move(by) {
  const items = stream.items;
  let index = items.findIndex((item) => item.id === selected);
  if (index < 0) index = Math.ceil(scroller.scrollTop / list.rowHeight) - by;
  do index += by;
  while (items[index] && items[index].time === undefined);
  if (!items[index]) return;
  list.bringIntoSight(index);
  select(items[index].id, { open: pane.isOpen || matchMedia("(min-width: 1100px)").matches });
}

function openSelected(event) {
  if (event.target.closest("a, button, input")) return false;
  if (!selected) return false;
  if (pane.id === selected) location.assign(eventUrl(selected));
  else select(selected);
  return true;
}

// --- the filter

function ask(query) {
  box.value = query;
  part("clear").hidden = !query;
  socket.subscribe(query.trim());
}

function refuse({ message, position }) {
  showBroken({ message, position });
  drawFigures();
  redraw();
}

function showBroken(broken) {
  page.broken = broken;
  part("broken").hidden = !broken;
  box.setAttribute("aria-invalid", String(Boolean(broken)));
  if (!broken) return;
  // The place of the mistake, with what is near it, and a caret below.
  const query = box.value.trim();
  const from = Math.max(0, broken.position - 30);
  const near = query.slice(from, broken.position + 20);
  const lead = from > 0 ? "…" : "";
  part("broken-at").textContent = `${lead}${near}\n${" ".repeat(lead.length + broken.position - from)}^`;
  write(part("broken-words"), page.hasFilter ? `${broken.message} The list still shows ${page.query || "everything"}.` : broken.message);
}

function narrowTo(type) {
  const term = type === null ? "NOT type:*" : `type:${/^[\w.-]+$/.test(type) ? type : JSON.stringify(type)}`;
  const query = box.value.trim();
  if (query.includes(term)) return;
  ask(query && / OR /.test(query) ? `(${query}) ${term}` : `${query} ${term}`.trim());
}

function historyUrl({ started, ended, source }) {
  const terms = [page.query && source ? `(${page.query})` : page.query, source && `source:${source}`].filter(Boolean);
  const asked = new URLSearchParams({ q: terms.join(" "), from: Math.floor(started), to: Math.ceil(ended) + 1 });
  return `${root.dataset.history}?${asked}`;
}

// --- the reader

const acts = {
  retry: () => socket.tryNow(),
  jump,
  narrow: () => box.focus(),
  "sign-in": () => location.assign(`${root.dataset.signIn}?${new URLSearchParams({ next: location.pathname + location.search })}`),
  reload: () => location.reload(),
};

part("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(box.value);
});
box.addEventListener("input", () => (part("clear").hidden = !box.value));
part("clear").addEventListener("click", () => ask(""));
part("empty-all")?.addEventListener("click", () => ask(""));
part("pause").addEventListener("click", () => pause());
part("resume").addEventListener("click", resume);
part("step").addEventListener("click", step);
part("statement-act").addEventListener("click", (event) => acts[event.currentTarget.dataset.act]?.());
scroller.addEventListener("pointermove", hold, { passive: true });
scroller.addEventListener("pointerleave", release);
scroller.addEventListener("scroll", redraw, { passive: true });
scroller.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-id]");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a");
  if (link && !link.matches("[data-open]")) return;
  if (link) event.preventDefault();
  if (getSelection()?.isCollapsed !== false) select(row.dataset.id);
});
addEventListener("resize", () => {
  list.draw(stream.items, selected);
  list.measure();
  redraw();
});

on("p", () => (stream.paused ? resume() : pause()));
on(".", step);
on("n", jump);
on("j", () => move(1));
on("k", () => move(-1));
on("Enter", openSelected);
document.addEventListener("eventhub:escape", () => unselect());
setInterval(drawFigures, FIGURES_EVERY);

ask(box.value);
