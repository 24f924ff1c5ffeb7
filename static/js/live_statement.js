// The one line that says what the page shows and what it leaves out, in words.

import { count, rate } from "./figures.js";
import { timeText } from "./times.js";

const REFUSED = new Set(["signed-out", "no-role", "not-understood"]);

/** {icon, tone, strong, words, more, act} for a state of the page: `more` is for pages with room,
 *  `act` is {words, name}. */
export function statement(page) {
  const { connection, trouble, stream } = page;
  if (REFUSED.has(connection.name)) return refused(connection);
  if (connection.name === "waiting") {
    const seconds = Math.max(0, Math.ceil((connection.until - Date.now()) / 1000));
    return { icon: "warn", tone: "warn", strong: `Reconnecting in ${seconds} s.`, words: "What passes meanwhile is brought here afterwards.", act: { words: "Try now", name: "retry" } };
  }
  if (connection.name === "connecting" && page.wasConnected) return { icon: "warn", tone: "warn", strong: "Reconnecting.", words: "What passes meanwhile is brought here afterwards." };
  if (connection.name === "connecting") return { icon: "half", tone: "", strong: "Connecting.", words: "" };
  if (page.broken && !page.hasFilter) return { icon: "bad", tone: "bad", strong: "The filter cannot be read.", words: "Nothing is shown until it can." };
  if (stream.paused) return paused(page);
  if (trouble) return { icon: "warn", tone: "warn", strong: "No live events now.", words: "Events are still stored, and brought here afterwards.", more: trouble };
  if (stream.held) return { icon: "pause", tone: "now", strong: "Held while you point at the list.", words: stream.waiting ? `${count(stream.waiting)} new ${stream.waiting === 1 ? "row waits" : "rows wait"} above.` : "" };
  return flowing(page);
}

function refused({ name, message }) {
  const acts = { "signed-out": { words: "Sign in", name: "sign-in" }, "not-understood": { words: "Reload", name: "reload" } };
  return { icon: "bad", tone: "bad", strong: message, words: "What you see is from before.", act: acts[name] };
}

function paused({ pausedAt, passedSince }) {
  const seconds = Math.round((Date.now() - pausedAt) / 1000);
  const events = passedSince === 1 ? "1 matching event has" : `${count(passedSince)} matching events have`;
  return { icon: "pause", tone: "now", strong: `Paused at ${timeText(pausedAt)}.`, words: `${events} passed in ${count(seconds)} s since.`, more: "All are in the history. Resume goes on from here.", act: { words: "Jump to now", name: "jump", key: "n" } };
}

function flowing({ perSecond, query, unchecked }) {
  const long = unchecked ? ` ${count(unchecked)} long payloads were not looked into.` : "";
  if (!perSecond) return { icon: "half", tone: "", strong: "Connected.", words: "Counting." };
  const skipped = perSecond.matched - perSecond.shown;
  if (skipped > 0.5) {
    return { icon: "half", tone: "", strong: "Sampled.", words: `${rate(skipped)}/s skipped on this screen, counted exactly.${long}`, more: "The history keeps every event received.", act: { words: "Narrow the filter", name: "narrow" } };
  }
  if (query) return { icon: "ok", tone: "ok", strong: "Showing every event that matches.", words: `${rate(perSecond.passed)}/s are observed in all.${long}` };
  return { icon: "ok", tone: "ok", strong: "Showing every event.", words: "Nothing is filtered, nothing is skipped." };
}

/** "showing 1 in 40" and "105/s, a fair sample". */
export function sample(perSecond) {
  if (!perSecond || perSecond.matched === 0) return { share: "", drawn: "" };
  const ratio = perSecond.shown ? perSecond.matched / perSecond.shown : Infinity;
  if (ratio < 1.02) return { share: "showing all", drawn: "" };
  const share = ratio >= 1.95 ? `showing 1 in ${Number.isFinite(ratio) ? count(ratio) : "many"}` : `showing ${Math.min(9, Math.round(10 / ratio))} in 10`;
  return { share, drawn: `${rate(perSecond.shown)}/s, a fair sample` };
}

/** The state of the connection in one word or few, for the status bar. */
export function connectionWords({ connection, trouble, broken }) {
  if (connection.name === "connected") {
    if (broken) return { icon: "bad", tone: "bad", words: "filter not understood" };
    if (trouble) return { icon: "warn", tone: "warn", words: "connected, no live feed" };
    return { icon: "ok", tone: "ok", words: "connected" };
  }
  if (connection.name === "waiting") return { icon: "warn", tone: "warn", words: "reconnecting" };
  if (connection.name === "connecting") return { icon: "half", tone: "", words: "connecting" };
  return { icon: "bad", tone: "bad", words: connection.name === "signed-out" ? "signed out" : "closed" };
}
