// Counts by time, from the exact figures of the frames. Times are the server's, in milliseconds.

export const SECONDS = 120;
const STEADY = 5_000; // rates are those of the last five seconds

export class Rates {
  #bins = new Map(); // second -> {matched, shown, known}
  #recent = [];
  #heardAt = 0;
  end = 0;
  total = { matched: 0, shown: 0, passed: 0, unchecked: 0 };

  /** The exact counts of one frame, `shown` of them drawn. */
  add(frame, shown) {
    const { start, end, matched, passed, unchecked } = frame;
    this.#recent.push({ start, end, matched, shown, passed, types: frame.types, other: frame.other_types });
    this.#recent = this.#recent.filter((piece) => piece.end > end - STEADY);
    this.#spread(start, end, matched, shown);
    this.end = Math.max(this.end, end);
    this.#heardAt = performance.now();
    this.total.matched += matched;
    this.total.shown += shown;
    this.total.passed += passed;
    this.total.unchecked += unchecked;
  }

  /** The server's time now, as far as it can be told. */
  now() {
    return this.end ? this.end + performance.now() - this.#heardAt : Date.now();
  }

  /** Events a second of the last seconds: matched, shown, passed, all of the same time. */
  get perSecond() {
    const seconds = this.#recentSeconds();
    const sum = (field) => this.#recent.reduce((all, piece) => all + piece[field], 0);
    if (!seconds) return null;
    return { matched: sum("matched") / seconds, shown: sum("shown") / seconds, passed: sum("passed") / seconds };
  }

  /** [type, events a second] of the last seconds, most first, and what the server did not name. */
  types() {
    const seconds = this.#recentSeconds() || 1;
    const counts = new Map();
    let other = 0;
    for (const piece of this.#recent) {
      other += piece.other / seconds;
      for (const [type, count] of piece.types) counts.set(type, (counts.get(type) ?? 0) + count / seconds);
    }
    return { named: [...counts].sort((one, two) => two[1] - one[1]), other };
  }

  /** One {matched, shown} a second for two minutes, oldest first; null where nothing is known. */
  line() {
    const last = Math.floor(this.now() / 1000) - 1;
    return Array.from({ length: SECONDS }, (_, index) => {
      const bin = this.#bins.get(last - SECONDS + 1 + index);
      return bin && bin.known > 300 ? { matched: (bin.matched * 1000) / bin.known, shown: (bin.shown * 1000) / bin.known, second: last - SECONDS + 1 + index } : null;
    });
  }

  clear() {
    this.#bins.clear();
    this.#recent = [];
    this.end = 0;
    this.total = { matched: 0, shown: 0, passed: 0, unchecked: 0 };
  }

  #recentSeconds() {
    const pieces = this.#recent;
    return pieces.length ? Math.max(pieces.at(-1).end - pieces[0].start, 200) / 1000 : 0;
  }

  #spread(start, end, matched, shown) {
    const from = Math.max(start, end - SECONDS * 1000);
    const length = Math.max(end - from, 1);
    for (let second = Math.floor(from / 1000); second * 1000 < from + length; second += 1) {
      const part = Math.min(from + length, second * 1000 + 1000) - Math.max(from, second * 1000);
      const bin = this.#bins.get(second) ?? { matched: 0, shown: 0, known: 0 };
      bin.matched += (matched * part) / length;
      bin.shown += (shown * part) / length;
      bin.known += part;
      this.#bins.set(second, bin);
    }
    for (const second of this.#bins.keys()) {
      if (second < end / 1000 - SECONDS - 5) this.#bins.delete(second);
      else break;
    }
  }
}
