// The Sources page: rows that stay under the pointer, and the form of a source.
import { on } from "./keys.js";

const list = document.querySelector("#list");
const form = document.querySelector("#source-form");

const names = () => [...list.querySelectorAll("[data-name]")].map((link) => link.dataset.name);

/** A reader who points at the rows, or walks through them, keeps their order. */
const isReading = () => list.matches(":hover") || list.contains(document.activeElement);

const isSelecting = () => {
  const selection = getSelection();
  return !selection.isCollapsed && list.contains(selection.anchorNode);
};

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt === list && isReading()) event.detail.parameters.keep = names().join(",");
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt === list && (isSelecting() || document.hidden)) event.preventDefault();
});

// The place in the list is kept from page to page of the sources.
const listing = document.querySelector(".listing");
addEventListener("pagehide", () =>
  sessionStorage.setItem("sources-place", String(Math.max(scrollY, listing.scrollTop))),
);
if (new URL(document.referrer || location.origin).pathname.startsWith("/sources/")) {
  const place = Number(sessionStorage.getItem("sources-place"));
  listing.scrollTop = place;
  if (!document.querySelector(".with-pane")) scrollTo(0, place);
}
list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });

const press = (selector) => () => {
  const target = document.querySelector(selector);
  target?.click();
  return Boolean(target);
};
on("a", press('[data-key="a"]'));
on("t", press("#check"));
document.addEventListener("eventhub:escape", press("[data-close]"));

function showStarts() {
  const mode = form.querySelector("[name=mode]:checked")?.value;
  for (const set of form.querySelectorAll(".starts")) {
    set.hidden = set.disabled = set.dataset.mode !== mode;
    if (!set.disabled && !set.querySelector(":checked")) set.querySelector("[type=radio]").checked = true;
  }
  const chosen = form.querySelector(".starts:not([hidden]) [name=start_from]:checked")?.value;
  const time = document.querySelector("#start-time");
  if (time) time.hidden = chosen !== "time";
  for (const choice of form.querySelectorAll(".ways .choice")) {
    choice.classList.toggle("on", Boolean(choice.querySelector(":checked")));
  }
}

/** Shows only the fields that mean something with the choices made; one with an error stays. */
function showWhen() {
  const made = new FormData(form);
  for (const field of form.querySelectorAll("[data-when]")) {
    const conditions = Object.entries(JSON.parse(field.dataset.when));
    const fits = conditions.every(([name, values]) => values.includes(made.get(name)));
    field.hidden = !fits && !field.matches(".wrong");
  }
  for (const more of form.querySelectorAll(".more")) {
    more.hidden = !more.querySelector(".field:not([hidden])");
  }
}

const VERDICTS = {
  ok: "Events will flow.",
  warn: "Events will flow, but see the warning.",
  bad: "This would not work yet.",
};

/** Runs the connection test; each step is drawn as soon as the server has sent it. */
async function check(button) {
  const steps = document.querySelector("#steps");
  const words = document.querySelector("#check-words");
  steps.replaceChildren();
  button.disabled = true;
  words.textContent = "Testing…";
  try {
    const response = await fetch(button.dataset.url, { method: "POST", body: new FormData(form) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    await drawSteps(response.body.pipeThrough(new TextDecoderStream()).getReader(), steps);
    const worst = ["bad", "warn", "ok"].find((tone) => steps.querySelector(`.st.${tone}`));
    words.textContent = VERDICTS[worst] ?? "The test said nothing.";
    if (worst !== "bad") document.querySelector("#discover")?.click();
  } catch (error) {
    words.textContent = `The test could not be run: ${error.message}.`;
  }
  button.disabled = false;
  button.querySelector("span").textContent = "Test again";
}

async function drawSteps(reader, steps) {
  const end = "</li>";
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    for (let at = waiting.indexOf(end); at >= 0; at = waiting.indexOf(end)) {
      steps.insertAdjacentHTML("beforeend", waiting.slice(0, at + end.length));
      waiting = waiting.slice(at + end.length);
    }
  }
}

const lines = (field) => field.value.split("\n").map((line) => line.trim()).filter(Boolean);

/** The boxes tell what the field holds, and how many of those that were found. */
function showPicks() {
  for (const picks of form.querySelectorAll("[data-fills]")) {
    const chosen = new Set(lines(document.getElementById(picks.dataset.fills)));
    const boxes = [...picks.querySelectorAll("[data-pick]")];
    for (const box of boxes) box.checked = chosen.has(box.value);
    picks.querySelector("[data-chosen]").textContent = `, ${boxes.filter((box) => box.checked).length} chosen`;
  }
}

function pick(box) {
  const field = document.getElementById(box.closest("[data-fills]").dataset.fills);
  // "Everything" gives way to what is chosen.
  const others = lines(field).filter((line) => line !== box.value && !(box.checked && line === "*"));
  field.value = (box.checked ? [...others, box.value] : others).join("\n");
  showPicks();
}

function filterPicks(field) {
  const wanted = field.value.toLowerCase();
  for (const item of field.closest("[data-fills]").querySelectorAll("li")) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
}

if (form) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick]")) pick(event.target);
    if (event.target.matches("[name=mode], [name=start_from]")) showStarts();
    showWhen();
  });
  form.addEventListener("input", (event) => {
    if (event.target.matches("[data-filter]")) filterPicks(event.target);
    if (event.target.matches("textarea")) showPicks();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-filter]")) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "destinations") showPicks();
  });
  document.querySelector("#check").addEventListener("click", (event) => check(event.currentTarget));
  document.querySelector("[data-focus]")?.focus();
  showStarts();
  showWhen();
}
