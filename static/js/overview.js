// Overview: parts that refresh without moving what is under the pointer, and the chart.
import { draw } from "./chart.js";
import { localise } from "./times.js";

const EVERY = 5000;
const PATIENCE = 20_000; // how long a pointer that rests holds back rows that would move
const PARTS = ["statement", "attention", "sources", "flows"];
const parts = document.querySelector("#parts");
const rates = document.querySelector("#rates");
let lastMove = 0;

document.addEventListener("pointermove", () => (lastMove = Date.now()), { passive: true });

const keys = (element) => [...element.querySelectorAll("[data-key]")].map((row) => row.dataset.key).join();

/** Whether putting `fresh` in place of `old` would move rows that a reader is about to use. */
function wouldMove(old, fresh) {
  if (keys(old) === keys(fresh)) return false;
  const main = document.querySelector("main");
  const pointing = main.matches(":hover") && Date.now() - lastMove < PATIENCE;
  return pointing || old.contains(document.activeElement);
}

function put(fresh) {
  const old = document.getElementById(fresh.id);
  if (!old || old.outerHTML === fresh.outerHTML || wouldMove(old, fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  localise(fresh);
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// The parts come by htmx, which reports failures; they are put in place here, one by one.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target !== parts || !event.detail.shouldSwap) return;
  event.detail.shouldSwap = false;
  const answer = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
  if (!rates && answer.querySelector("#sources [data-key]")) location.reload();
  for (const id of PARTS) {
    const fresh = answer.getElementById(id);
    if (fresh) put(document.adoptNode(fresh));
  }
});

setInterval(() => {
  if (!document.hidden) window.htmx.ajax("GET", parts.dataset.url, { target: parts, swap: "none" });
}, EVERY);

let figure = null;

async function refreshChart() {
  if (!rates || document.hidden) return;
  const answer = await fetch(rates.dataset.url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) {
    if (!figure) rates.querySelector(".wait").textContent = "The chart could not be loaded. It is tried again in a minute.";
    return;
  }
  figure = await answer.json();
  rates.setAttribute("aria-label", figure.words);
  rates.querySelector(".wait")?.remove();
  await draw(rates, structuredClone(figure));
}

async function fillTable() {
  const place = document.querySelector("#rates-table");
  const answer = await fetch(`${rates.dataset.url}&as=table`);
  if (!answer.ok) return;
  const table = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("table");
  place.replaceChildren(document.adoptNode(table));
  localise(place);
}

document.querySelector("#as-table")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const place = document.querySelector("#rates-table");
  place.hidden = !place.hidden;
  button.setAttribute("aria-expanded", String(!place.hidden));
  button.querySelector("span").textContent = place.hidden ? "Show as table" : "Hide table";
  if (!place.hidden) await fillTable();
});

document.addEventListener("eventhub:theme", () => figure && draw(rates, structuredClone(figure)));
refreshChart();
setInterval(refreshChart, 60_000);
