/** Between which values of a numeric variable each client's training examples are: one chart a variable. */

import { escaped, makeChart } from "../charts.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { shortName } from "./names.js";

const ROW = 26; // pixels of a client

/** Whether any client says between which values a variable is. */
export function hasRanges(model) {
  return variablesOf(model).length > 0;
}

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function rangesSection(model) {
  const charts = variablesOf(model).map((variable) => rangeChart(model, variable));
  return {
    element: h("div", {}, ...charts.map(({ element }) => element)),
    update(changes) {
      if (!changes.clients && !changes.run) return;
      for (const chart of charts) {
        chart.plot.style.height = `${height(model)}px`;
        chart.update();
      }
    },
    destroy() {
      charts.forEach((chart) => chart.destroy());
    },
  };
}

function rangeChart(model, variable) {
  const said = () => {
    const { low, high } = all(model, variable);
    return `${format.plural(model.clients.size, "client")}; all together from ${format.number(low)} to ${format.number(high)}.`;
  };
  return makeChart({
    title: `Training ${variable} per client`, caption: said, summary: said, height: () => height(model),
    draw: (colours) => draw(model, { variable, colours }),
    table: () => ({
      columns: ["Client", ...["Examples", "Smallest", "Largest"].map((label) => ({ label, numeric: true }))],
      rows: clientsOf(model).map((client) => [client.name, client.num_examples, ...spanOf(client, variable)]),
    }),
  });
}

function draw(model, { variable, colours }) {
  const clients = clientsOf(model);
  const spans = clients.map((client) => spanOf(client, variable));
  const places = clients.map((_, i) => i);
  return {
    data: [{
      type: "bar", orientation: "h", width: 0.5, y: places, base: spans.map(([low]) => low),
      x: spans.map(([low, high]) => (low === null ? null : high - low)), marker: { color: colours.federated },
      customdata: spans.map(([low, high], i) => [escaped(clients[i].name), format.number(low), format.number(high)]),
      hovertemplate: "%{customdata[0]}: %{customdata[1]} to %{customdata[2]}<extra></extra>",
    }],
    layout: {
      hovermode: "closest", showlegend: false, dragmode: false,
      xaxis: { title: escaped(variable), fixedrange: true },
      yaxis: { tickvals: places, ticktext: clients.map(({ name }) => escaped(shortName(name))),
        range: [places.length - 0.4, -0.6], fixedrange: true, showgrid: false },
    },
  };
}

function height(model) {
  return 70 + ROW * model.clients.size;
}

function variablesOf(model) {
  return [...new Set(clientsOf(model).flatMap(({ profile }) => Object.keys(profile.spans ?? {})))];
}

function clientsOf(model) {
  return [...model.clients.values()].sort((a, b) => a.client_id - b.client_id);
}

function spanOf(client, variable) {
  return client.profile.spans?.[variable] ?? [null, null];
}

function all(model, variable) {
  const spans = clientsOf(model).map((client) => spanOf(client, variable)).filter(([low]) => low !== null);
  return { low: Math.min(...spans.map(([low]) => low)), high: Math.max(...spans.map(([, high]) => high)) };
}
