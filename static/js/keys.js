// The keyboard of every page: / ? g-letter j k Enter Esc. A page adds keys of its own with `on`.

const own = new Map();
let waitingForLetter = 0;

/** Calls `act` when `key` is pressed outside of fields. */
export function on(key, act) {
  own.set(key, act);
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}

const openers = () =>
  [...document.querySelectorAll("[data-rows] a[data-open]")].filter((a) => a.offsetParent !== null);

/** Moves the focus to the row `step` away; from nowhere, to the selected or the first row. */
function move(step) {
  const links = openers();
  if (!links.length) return false;
  let index = links.indexOf(document.activeElement);
  if (index < 0) index = links.findIndex((a) => a.closest("tr")?.getAttribute("aria-selected") === "true");
  const link = links[index < 0 ? 0 : Math.min(Math.max(index + step, 0), links.length - 1)];
  link.focus({ preventScroll: true });
  link.closest("tr").scrollIntoView({ block: "nearest" });
  return true;
}

function goTo(letter) {
  const link = document.querySelector(`[data-go="${CSS.escape(letter)}"]`);
  if (link) location.assign(link.href);
  return Boolean(link);
}

const everywhere = {
  "/": () => {
    const field = document.querySelector("[data-search]");
    field?.focus();
    field?.select();
    return Boolean(field);
  },
  "?": () => {
    document.querySelector("#keys")?.showModal();
    return true;
  },
  g: () => {
    waitingForLetter = Date.now();
    return true;
  },
  j: () => move(1),
  k: () => move(-1),
};

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (isTyping(event.target)) event.target.blur();
    else document.dispatchEvent(new CustomEvent("eventhub:escape"));
    return;
  }
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const second = Date.now() - waitingForLetter < 1500;
  waitingForLetter = 0;
  const act = second && goTo(event.key) ? () => true : (own.get(event.key) ?? everywhere[event.key]);
  if (act && act(event) !== false) event.preventDefault();
}

document.addEventListener("keydown", onKey);
