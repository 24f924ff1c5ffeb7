// What the list holds, newest first, and what waits while the reader has stopped it.
// An item is an event of a frame, or {gap} or {hole}; all have `id`, by which they are in order.

const MOST_SHOWN = 2_000;
const MOST_WAITING = 2_000;
const HOW_FAR_BACK = 400; // a late event is put in its place if that is this near to the top

/** An id that sorts with event ids by time: for gaps and holes. */
export function idAt(milliseconds) {
  const hex = Math.round(milliseconds).toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-8`;
}

export class Stream {
  items = [];
  #waiting = [];
  #seen = new Set();
  #dropped = null;
  paused = false;
  held = false;

  get waiting() {
    return this.#waiting.length + (this.#dropped?.events ?? 0);
  }

  get stopped() {
    return this.paused || this.held;
  }

  has(id) {
    return this.#seen.has(id);
  }

  /** Takes items, oldest first. Returns how many went above each other on the list. */
  arrive(items) {
    const fresh = items.filter((item) => !this.#seen.has(item.id));
    for (const item of fresh) this.#seen.add(item.id);
    if (!this.stopped) return this.#show(fresh);
    this.#waiting.push(...fresh);
    this.#drop(this.#waiting.length - MOST_WAITING);
    return 0;
  }

  /** Shows the oldest item that waits. */
  step() {
    const dropped = this.#takeDropped();
    return this.#show(dropped ? [dropped] : this.#waiting.splice(0, 1));
  }

  /** Shows what waits, if nothing holds it any more. */
  goOn() {
    if (this.stopped) return 0;
    const dropped = this.#takeDropped();
    const items = this.#waiting.splice(0);
    return this.#show(dropped ? [dropped, ...items] : items);
  }

  /** Leaves out what waits and goes on from now; `events` passed meanwhile. */
  jump(start, end, events) {
    this.#drop(this.#waiting.length);
    this.#dropped = null;
    this.paused = false;
    this.held = false;
    const hole = { start, end, events, reason: "passed while this page was paused", source: null };
    return this.#show(events ? [{ id: idAt(end), hole }] : []);
  }

  clear() {
    this.items = [];
    this.#waiting = [];
    this.#seen.clear();
    this.#dropped = null;
  }

  #drop(count) {
    if (count <= 0) return;
    const gone = this.#waiting.splice(0, count);
    for (const item of gone) this.#seen.delete(item.id);
    const times = gone.filter((item) => item.time);
    if (!times.length) return;
    this.#dropped ??= { start: times[0].time, end: 0, events: 0, reason: "drawn while this page was paused, and too many to keep", source: null };
    this.#dropped.end = times.at(-1).time;
    this.#dropped.events += times.length;
  }

  #takeDropped() {
    const hole = this.#dropped;
    this.#dropped = null;
    return hole && { id: idAt(hole.end), hole };
  }

  #show(items) {
    for (const item of items) {
      let place = 0;
      const last = Math.min(this.items.length, HOW_FAR_BACK);
      while (place < last && this.items[place].id > item.id) place += 1;
      this.items.splice(place, 0, item);
    }
    for (const item of this.items.splice(MOST_SHOWN)) this.#seen.delete(item.id);
    return items.length;
  }
}
