// Draws the figures of dashboard/charts with Plotly, in the colours of the theme.

/** Replaces `var(--token)` by its value, and times in milliseconds by the reader's wall clock. */
function resolve(value, styles) {
  if (typeof value === "string") {
    const token = /^var\((--[\w-]+)\)$/.exec(value);
    return token ? styles.getPropertyValue(token[1]).trim() : value;
  }
  if (Array.isArray(value)) return value.map((item) => resolve(item, styles));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, styles)]));
  }
  return value;
}

// Plotly draws dates as UTC: shifted by the zone's offset they read as local time.
const local = (milliseconds) => milliseconds - new Date(milliseconds).getTimezoneOffset() * 60000;

function inReadersZone(figure) {
  for (const trace of figure.data) trace.x = trace.x.map(local);
  for (const note of figure.layout.annotations) if (note.xref !== "paper") note.x = local(note.x);
  figure.layout.xaxis.range = figure.layout.xaxis.range.map(local);
  return figure;
}

/** Draws or redraws `figure` ({data, layout}) in `place`. */
export function draw(place, figure) {
  const styles = getComputedStyle(document.documentElement);
  const { data, layout } = inReadersZone(resolve(figure, styles));
  if (place.clientWidth < 560) {
    layout.margin = { ...layout.margin, r: 8, l: 40 };
    layout.annotations = [];
    layout.xaxis.nticks = 4;
    delete layout.yaxis.title;
    layout.showlegend = data.filter((trace) => trace.yaxis !== "y2").length > 1;
    layout.legend = { orientation: "h", y: -0.16, font: layout.font };
    for (const trace of data) if (trace.yaxis === "y2") trace.showlegend = false;
  }
  return window.Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
}
