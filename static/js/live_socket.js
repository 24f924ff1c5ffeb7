// The connection of the live page: subscribes, acknowledges, comes back by itself.
// The messages are described in dashboard/consumers.py.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const SILENCE = 12_000; // the server says something every second

export class LiveSocket {
  #url;
  #hear;
  #tell;
  #socket = null;
  #filter = "";
  #accepted = null;
  #cursor = null;
  #wait = FIRST_WAIT;
  #retry = 0;
  #watch = 0;
  #refused = false;
  /** Whether the frames go on where an earlier connection stopped. */
  resumed = false;

  /** `hear(message)` gets every message; `tell(state)` every change: {name, until, message}. */
  constructor(url, hear, tell) {
    this.#url = url;
    this.#hear = hear;
    this.#tell = tell;
    addEventListener("online", () => this.tryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.tryNow());
    addEventListener("pageshow", (event) => event.persisted && this.tryNow());
  }

  /** Ask for another filter. What came before it is not resumed. */
  subscribe(filter) {
    this.#filter = filter;
    this.#cursor = null;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#ask();
    else if (!this.#socket && !this.#refused) this.#open();
  }

  /** Do not wait for the next try. */
  tryNow() {
    if (this.#retry) this.#open();
  }

  #open() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#tell({ name: "connecting" });
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#listenForSilence();
    socket.onopen = () => this.#ask();
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => socket === this.#socket && this.#lost();
  }

  #ask() {
    this.resumed = this.#cursor !== null;
    const message = { type: "subscribe", filter: this.#filter, cursor: this.#cursor };
    this.#socket.send(JSON.stringify(message));
  }

  #take(message) {
    this.#listenForSilence();
    if (message.type === "refused" && message.reason !== "busy") {
      this.#refused = true;
      this.#abandon();
      this.#tell({ name: message.reason, message: message.message });
      return;
    }
    // A filter that cannot be read leaves the one before it in force, also after a reconnect.
    if (message.type === "error") {
      this.#filter = this.#accepted ?? this.#filter;
      if (this.#accepted === null) clearTimeout(this.#watch);
      this.#tell({ name: "connected" });
    }
    if (message.type === "ready") {
      this.#accepted = message.filter;
      this.#wait = FIRST_WAIT;
      this.#tell({ name: "connected" });
    }
    this.#hear(message);
    if (message.type === "frame") {
      this.#cursor = message.cursor;
      if (this.#socket?.readyState === WebSocket.OPEN) {
        this.#socket.send(JSON.stringify({ type: "ack", n: message.n }));
      }
    }
  }

  #listenForSilence() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.#abandon();
      this.#lost();
    }, SILENCE);
  }

  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#watch);
    socket?.close();
  }

  #lost() {
    this.#socket = null;
    clearTimeout(this.#watch);
    const wait = this.#wait * (0.5 + Math.random() / 2);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    this.#retry = setTimeout(() => this.#open(), wait);
    this.#tell({ name: "waiting", until: Date.now() + wait });
  }
}
