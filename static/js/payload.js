// The payload of an event: folding its tree, copying it. For the event's page and every pane.
import { say } from "./said.js";

function indentOf(line) {
  return /^ */.exec(line.firstChild?.nodeValue ?? "")[0].length;
}

/** Gives every line that opens an object or a list a button that hides what is inside. */
function makeFoldable(tree) {
  tree.dataset.tree = "ready";
  for (const line of tree.querySelectorAll("[data-opens]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fold";
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-label", `Fold ${line.querySelector(".k")?.textContent ?? ""}`.trim());
    line.prepend(button);
  }
}

function toggle(button) {
  const line = button.closest(".l");
  const folds = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!folds));
  let depth = 1;
  let hiddenInside = 0; // depth from which an inner fold keeps its lines hidden
  for (let next = line.nextElementSibling; next && depth > 0; next = next.nextElementSibling) {
    if ("ends" in next.dataset) {
      depth -= 1;
      if (depth < hiddenInside) hiddenInside = 0;
      if (depth === 0) break;
    }
    next.hidden = folds || hiddenInside > 0;
    if ("opens" in next.dataset) {
      depth += 1;
      const inner = next.querySelector(".fold");
      if (!hiddenInside && inner.getAttribute("aria-expanded") === "false") hiddenInside = depth;
    }
  }
}

async function copyPayload(button) {
  const answer = await fetch(button.dataset.copyUrl).catch(() => null);
  if (!answer?.ok) return say("The payload could not be read");
  try {
    await navigator.clipboard.writeText(await answer.text());
    say(button.dataset.copied);
  } catch {
    say("The browser did not allow copying");
  }
}

function prepare(root) {
  for (const tree of root.querySelectorAll('[data-tree=""]')) makeFoldable(tree);
}

document.addEventListener("click", (event) => {
  const fold = event.target.closest(".fold");
  if (fold) toggle(fold);
  const copier = event.target.closest("[data-copy-url]");
  if (copier) copyPayload(copier);
});
document.addEventListener("htmx:load", (event) => prepare(event.detail.elt.parentNode ?? document));
prepare(document);
