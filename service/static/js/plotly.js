/** Plotly, loaded once and only when a chart needs it, and the layout that all charts of the page share. */

const SOURCE = "/static/vendor/plotly.min.js";
let loading = null;

/**
 * The Plotly library, loaded from this server at the first call.
 *
 * @returns {Promise<object>}
 * @throws {Error} when the file cannot be loaded; the next call tries again
 */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SOURCE;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error(`${SOURCE} could not be loaded`));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * The page's layout with a chart's own on top of it; every axis of the chart gets the page's look.
 *
 * @param {object} layout a chart's own
 * @param {{colours: object, width: number, height: number, compact: boolean}} look
 * @returns {object}
 */
export function merged(layout, { colours, width, height, compact }) {
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const axis = {
    gridcolor: colours.grid, linecolor: colours.grid, zerolinecolor: colours.grid, tickcolor: colours.grid,
    color: colours.muted, automargin: true, ticks: "outside", ticklen: 3, zeroline: false, tickfont: { size: 11 },
    nticks: compact ? 4 : undefined,
  };
  const base = {
    width, height, autosize: false, uirevision: "keep",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: fontOf(document.body), size: 12, color: colours.text },
    margin: compact ? { l: 34, r: 6, t: 6, b: 22 } : { l: 48, r: 12, t: 8, b: 40 },
    hovermode: "x unified", dragmode: coarse ? false : "zoom", showlegend: false,
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.grid, namelength: -1,
      font: { color: colours.text, size: 12 } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal",
      font: { size: 12 } },
    colorway: colours.clients,
  };
  const full = { ...base, ...layout };
  for (const key of ["margin", "hoverlabel", "legend", "font"]) full[key] = { ...base[key], ...layout?.[key] };
  for (const key of new Set(["xaxis", "yaxis", ...Object.keys(full)])) {
    if (/^[xy]axis\d*$/.test(key)) full[key] = { ...axis, ...full[key], title: axisTitle(full[key]?.title) };
  }
  return full;
}

function axisTitle(title) {
  const one = typeof title === "string" ? { text: title } : { ...title };
  return { standoff: 8, ...one, font: { size: 12, ...one.font } };
}

function fontOf(element) {
  return getComputedStyle(element).fontFamily;
}
