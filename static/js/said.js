let timer = 0;

/** A short word for the reader and the screen reader. */
export function say(words) {
  const place = document.querySelector("#said");
  place.textContent = words;
  place.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (place.hidden = true), 2500);
}
