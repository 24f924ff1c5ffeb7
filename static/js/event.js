// The page of one event.
import { on } from "./keys.js";

const follow = (selector) => () => {
  const link = document.querySelector(selector);
  if (link) location.assign(link.href);
  return Boolean(link);
};

on("[", follow("[rel=prev]"));
on("]", follow("[rel=next]"));
on("c", follow("[data-correlation]"));

// The chosen view is part of the address, so that it can be shared.
document.addEventListener("htmx:afterSwap", () => {
  const view = document.querySelector("#payload .tabs [aria-current]");
  if (view) history.replaceState(null, "", view.href);
});
