// Figures as the templates write them (dashboard/templatetags/eventhub.py).

const THIN = "\u202f"; // between thousands
const UNIT = "\u00a0"; // between a figure and its unit

/** 1 204 with thin separators. */
export function count(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

/** Events a second: 0.04, 3.2, 182, 4 270. */
export function rate(perSecond) {
  if (perSecond >= 10) return count(perSecond);
  if (perSecond === 0) return "0";
  return perSecond >= 0.95 ? perSecond.toFixed(1) : Math.max(perSecond, 0.01).toFixed(2);
}

/** Bytes: 412 B, 1.2 KiB, 5 MiB. */
export function size(length) {
  if (length < 1024) return `${length}${UNIT}B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let scaled = length / 1024;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${scaled.toFixed(scaled >= 10 ? 0 : 1)}${UNIT}${units[unit]}`;
}
