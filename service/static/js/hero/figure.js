/** The comparison figure: curves of all runs above, the gap with its band below, on one x-axis. */

import { escaped } from "../charts.js";
import { byteUnit, capital, isShare, metricName, number, stageName } from "../format.js";
import { lineOf, withAlpha } from "../theme.js";
import { AXES, comparable, curve, groupWords, groupsOf, lastValue, mean, meanCurve, stepWords } from "./lines.js";

const FEW_POINTS = 40; // up to which points are marked
const ROOM = 0.02; // beyond the ends of a share
const MOST_TICKS = 8; // up to which each round or epoch has a tick
const FEW_RUNS = 8; // up to which each run speaks in the hover label, beside the means

/**
 * Plotly's traces and layout.
 *
 * @param {object} comparison answer of `/api/compare`
 * @param {{axis: string, hidden: Set<string>, colours: object, width: number}} look
 * @returns {{data: object[], layout: object}}
 */
export function heroFigure(comparison, { axis, hidden, colours, width }) {
  const shown = groupsOf(comparable(comparison.runs)).filter(({ key }) => !hidden.has(key));
  const places = shown.flatMap(({ runs }) => runs.flatMap((run) => curve(run, axis).x));
  const sent = byteUnit(Math.max(0, ...places));
  const unit = axis === "bytes" ? sent.size : 1; // Plotly writes no space between a number and its unit
  const reach = Math.max(0, ...places) / unit;
  const data = shown.flatMap((group) => groupTraces(group, { comparison, axis, unit, colours, reach }));
  const gap = gapTraces(comparison, { axis, unit, hidden, colours });
  const narrow = width < 560;
  const both = gap.length > 0;
  return {
    data: [...data, ...gap],
    layout: {
      uirevision: `${comparison.metric} ${comparison.stage} ${axis}`,
      hovermode: "x unified",
      hoversubplots: "axis",
      hoverdistance: 60, // rounds are fewer than epochs: the nearest one of each line, with its own place
      margin: { l: narrow ? 46 : 56, r: 14, t: 8, b: 42 },
      xaxis: { title: titleOf(axis, { runs: comparison.runs, sent }),
        anchor: both ? "y2" : "y", rangemode: axis === "step" ? "normal" : "tozero", ...formats(axis),
        ...(axis === "step" && lastStep(comparison.runs) <= MOST_TICKS && { dtick: 1 }), // no half rounds
        unifiedhovertitle: { text: hoverTitle(axis, { runs: comparison.runs, sent }) } },
      yaxis: { title: narrow ? "" : capital(metricName(comparison.metric)), hoverformat: ".4~f",
        domain: both ? [0.36, 1] : [0, 1], ...within(comparison.metric, 0, 1) },
      ...(both && {
        yaxis2: { title: narrow ? "" : "Gap", domain: [0, 0.27], zeroline: true, zerolinewidth: 1.5,
          zerolinecolor: colours.muted, rangemode: "tozero", nticks: 5, ...within(comparison.metric, -1, 1) },
        annotations: comparison.better ? [side("above 0: federated worse", colours)] : [],
      }),
    },
  };
}

function groupTraces(group, { comparison, axis, unit, colours, reach }) {
  const { role, runs } = group;
  const { colour, dash, symbol } = lineOf(group, colours);
  const line = { color: colour, dash, width: 2.4 };
  const words = escaped(groupWords(group));
  const tested = runs.every((run) => lastValue(run) === null);
  if (tested || (axis === "bytes" && role !== "federated")) {
    const why = tested ? "final test" : "no traffic";
    return level(mean(runs.map((run) => lastValue(run) ?? run.test)), `${words}: ${why}`);
  }

  function level(value, name) {
    if (value === null) return [];
    return [{ type: "scatter", mode: "lines", name, x: [0, reach], y: [value, value], line: { ...line, width: 1.6 },
      opacity: 0.85 }];
  }

  const curves = runs.map((run) => curve(run, axis, unit));
  const one = runs.length === 1;
  const quiet = !one && comparison.runs.length > FEW_RUNS;
  const traces = runs.map((run, index) => ({
    type: "scatter", x: curves[index].x, y: curves[index].y, name: escaped(run.label), connectgaps: false,
    mode: one && curves[index].x.length <= FEW_POINTS ? "lines+markers" : "lines",
    line: one ? line : { ...line, width: 1 }, opacity: one ? 1 : 0.45, showlegend: one,
    marker: { color: colour, symbol, size: 6 },
    ...(quiet && { hoverinfo: "skip" }),
  }));
  if (one) return traces;
  const middle = meanCurve(runs, axis, unit);
  return [...traces, {
    type: "scatter", mode: middle.x.length <= FEW_POINTS ? "lines+markers" : "lines", x: middle.x, y: middle.y,
    name: words, line, marker: { color: colour, symbol, size: 6 },
  }];
}

function gapTraces(comparison, { axis, unit, hidden, colours }) {
  const groups = new Map(groupsOf(comparison.runs).map((group) => [group.key, group]));
  const several = comparison.gaps.length > 1;
  return comparison.gaps.filter(({ group, value }) => value.length && !(several && hidden.has(group))).flatMap((gap) => {
    const group = groups.get(gap.group);
    const look = several ? lineOf(group, colours) : { colour: colours.text, dash: "solid", symbol: "circle" };
    return oneGap(gap, { axis, unit, look, name: several ? escaped(`Gap (${group.differs})`) : "Gap" });
  });
}

function oneGap(gap, { axis, unit, look, name }) {
  const { colour, dash, symbol } = look;
  const known = (of) => of[axis].map((_, index) => index).filter((index) => of[axis][index] !== null && of.value[index] !== null);
  const pick = (values, indices) => indices.map((index) => values[index]);
  const keep = known(gap);
  const sure = keep.filter((index) => gap.low[index] !== null); // of few seeds there may be no interval
  const at = (of, indices) => pick(of[axis], indices).map((place) => place / unit);
  const x = at(gap, keep);
  const edge = { type: "scatter", mode: "lines", x: at(gap, sure), yaxis: "y2", hoverinfo: "skip",
    showlegend: false, line: { width: 0, color: colour } };
  const band = sure.length === 0 ? [] : [
    { ...edge, y: pick(gap.low, sure), name: "low" },
    { ...edge, y: pick(gap.high, sure), name: "high", fill: "tonexty", fillcolor: withAlpha(colour, 0.14) },
  ];
  const thin = gap.each.map((one) => ({ type: "scatter", mode: "lines", x: at(one, known(one)), yaxis: "y2",
    y: pick(one.value, known(one)), name: `${name}, seed ${one.seed}`, showlegend: false, opacity: 0.55,
    line: { color: colour, width: 1 }, hovertemplate: "%{y:+.3f}" }));
  const interval = (index) => (gap.low[index] === null ? ""
    : ` [${number(gap.low[index], { signed: true })}, ${number(gap.high[index], { signed: true })}]`);
  const words = keep.map((index) => `${number(gap.value[index], { signed: true })}${interval(index)}`);
  return [...band, ...thin, {
    type: "scatter", mode: x.length <= FEW_POINTS ? "lines+markers" : "lines", x, y: pick(gap.value, keep), yaxis: "y2",
    name, line: { color: colour, dash, width: 2 }, marker: { color: colour, symbol, size: 5 },
    text: words, hovertemplate: "%{text} at %{x}",
  }];
}

/** Rows of the data behind the picture, for `dataTable`. */
export function heroTable(comparison) {
  const axes = Object.keys(AXES);
  const differs = new Map(groupsOf(comparison.runs).map((group) => [group.key, group.differs]));
  const rows = comparison.runs.flatMap((run) => run.value.map((value, index) => [
    run.label, ...axes.map((axis) => run[axis][index]), value, null, null]));
  const gaps = comparison.gaps.flatMap((gap) => gap.value.map((value, index) => [
    differs.get(gap.group) ? `Gap (${differs.get(gap.group)})` : "Gap", ...axes.map((axis) => gap[axis][index]), value,
    gap.low[index], gap.high[index]]));
  const columns = ["Round or epoch", "Examples", "Seconds", "Bytes",
    `${capital(metricName(comparison.metric))} (${stageName(comparison.stage)})`, "Low", "High"];
  return { columns: ["Line", ...columns.map((label) => ({ label, numeric: true }))], rows: [...rows, ...gaps] };
}

/** A share cannot leave [0, 1], so its axis does not either, but for room for the line. */
function within(metric, low, high) {
  return isShare(metric) ? { autorangeoptions: { clipmin: low - ROOM, clipmax: high + ROOM } } : {};
}

function side(text, colours) {
  return { text, xref: "paper", yref: "paper", x: 0, y: 0.275, xanchor: "left", yanchor: "bottom", showarrow: false,
    font: { size: 11, color: colours.muted } };
}

function titleOf(axis, { runs, sent }) {
  if (axis === "bytes") return `${AXES.bytes.title} (${sent.unit})`;
  return axis === "step" ? stepWords(runs).title : AXES[axis].title;
}

function hoverTitle(axis, { runs, sent }) {
  if (axis === "step") return `${stepWords(runs).words} %{x}`;
  return { examples: "%{x:,d} examples", seconds: "%{x:.1f} s", bytes: `%{x:,.2~f} ${sent.unit}` }[axis];
}

function lastStep(runs) {
  return Math.max(0, ...runs.map((run) => run.step.at(-1) ?? 0));
}

function formats(axis) {
  return {
    step: { tickformat: ",d", hoverformat: ",d" },
    examples: { tickformat: "~s", hoverformat: ",d" },
    seconds: { hoverformat: ".1f" },
    bytes: { tickformat: ",~f", hoverformat: ",.2~f" },
  }[axis];
}
