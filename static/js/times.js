// Times in the reader's zone; UTC stays in the title.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

const CLOCKS = {
  min: (t) => `${two(t.getHours())}:${two(t.getMinutes())}`,
  s: (t) => `${CLOCKS.min(t)}:${two(t.getSeconds())}`,
  ms: (t) => `${CLOCKS.s(t)}.${String(t.getMilliseconds()).padStart(3, "0")}`,
};

function day(t, now) {
  const text = `${t.getDate()} ${MONTHS[t.getMonth()]}`;
  return t.getFullYear() === now.getFullYear() ? text : `${text} ${t.getFullYear()}`;
}

/** The text of a time in milliseconds: "14:02:07.318" today, with the date before it otherwise.
 *  Forms: ms, s, min, day. */
export function timeText(milliseconds, form = "ms") {
  const t = new Date(milliseconds);
  const now = new Date();
  if (form === "day") return day(t, now);
  const clock = (CLOCKS[form] ?? CLOCKS.ms)(t);
  return t.toDateString() === now.toDateString() ? clock : `${day(t, now)} ${clock}`;
}

/** "2025-11-12 13:02:07.318 UTC", for titles. */
export function utcText(milliseconds) {
  return new Date(milliseconds).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** Rewrites every <time datetime data-form> under `root`. */
export function localise(root = document) {
  for (const element of root.querySelectorAll("time[datetime][data-form]")) {
    const milliseconds = Date.parse(element.dateTime);
    if (!Number.isNaN(milliseconds)) {
      element.textContent = timeText(milliseconds, element.dataset.form);
    }
  }
}
