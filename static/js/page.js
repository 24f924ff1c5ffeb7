// What every page does: theme, times, copying, the menu of keys, failed requests in words.
import "./keys.js";
import "./payload.js";
import { say } from "./said.js";
import { localise, zone } from "./times.js";

const root = document.documentElement;

function chooseTheme(choice) {
  if (choice === "auto") {
    localStorage.removeItem("theme");
    delete root.dataset.theme;
  } else {
    localStorage.setItem("theme", choice);
    root.dataset.theme = choice;
  }
  showTheme();
  document.dispatchEvent(new CustomEvent("eventhub:theme"));
}

function showTheme() {
  const choice = root.dataset.theme ?? "auto";
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.dispatchEvent(new CustomEvent("eventhub:theme")),
);

async function copyText(button) {
  const { copyFrom, copyLink, copy } = button.dataset;
  const link = copyLink && new URL(copyLink, location.href).href;
  const text = copyFrom ? document.querySelector(copyFrom)?.textContent : (link ?? copy);
  try {
    await navigator.clipboard.writeText(text ?? "");
    say(button.dataset.copied ?? "Copied");
  } catch {
    say("The browser did not allow copying");
  }
}

document.addEventListener("click", (event) => {
  const theme = event.target.closest("[data-theme-choice]");
  if (theme) chooseTheme(theme.dataset.themeChoice);
  const copier = event.target.closest("[data-copy], [data-copy-from], [data-copy-link]");
  if (copier) copyText(copier);
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.querySelector(opener.dataset.dialog)?.showModal();
});

// A session that ended answers a part with the sign-in page: show that page, not its pieces.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL, location.href).pathname;
  if (answered.startsWith("/sign-in")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

function trouble(words) {
  const place = document.querySelector("#trouble");
  if (!place) return;
  place.hidden = !words;
  place.querySelector("[data-words]").textContent = words;
}

document.addEventListener("htmx:sendError", () =>
  trouble("EventHub does not answer. What you see is from before; it goes on by itself once the server is back."),
);
document.addEventListener("htmx:responseError", (event) =>
  trouble(`The server could not do that (${event.detail.xhr.status}). What you see is from before.`),
);
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) trouble("");
});
document.addEventListener("htmx:load", (event) => localise(event.detail.elt.parentNode ?? event.detail.elt));

localise();
showTheme();
for (const place of document.querySelectorAll("[data-zone]")) place.textContent = zone;
for (const hint of document.querySelectorAll("[data-zone-hint]")) hint.hidden = zone === "UTC";
