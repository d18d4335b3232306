/** The result as a sentence: the federated gap, its confidence interval, and the data it is measured on. */

import { count, higherIsBetter, metricName, number, percent, plural, stageName } from "../format.js";
import { groupsOf, lastValue, mean } from "./lines.js";
import { isUnlike } from "./notes.js";

const NOTHING = 1e-9; // what is left of a difference by rounding

/**
 * Parts of a sentence; those with `strong` are the result itself.
 *
 * @param {object} comparison answer of `/api/compare`
 * @returns {Array<{text: string, strong?: boolean}>}
 */
export function resultParts(comparison) {
  const final = comparison.final?.find((one) => one.metric === comparison.metric);
  if (final && Number.isFinite(final.gap)) return finalParts(comparison, final);
  const told = comparison.gaps.map((gap) => gapParts(comparison, gap)).filter(Boolean);
  if (told.length) return told.flatMap((parts, index) => (index ? [{ text: " " }, ...parts] : parts));
  return [{ text: withoutGap(comparison) }];
}

/** The parts of `resultParts` as one string. */
export function resultText(comparison) {
  return resultParts(comparison).map((part) => part.text).join("");
}

/**
 * Whether federation made a metric worse, better, neither for sure, or nothing at all.
 *
 * @param {string} metric
 * @param {{gap: number|null, low: number|null, high: number|null}} result gap: pooled minus federated
 * @returns {"worse"|"better"|"unclear"|"equal"}
 */
export function verdict(metric, { gap, low, high }) {
  if (!Number.isFinite(gap)) return "unclear";
  const [least, most] = Number.isFinite(low) && Number.isFinite(high) ? [low, high] : [gap, gap];
  if (isNothing(least) && isNothing(most)) return "equal";
  if (least <= 0 && most >= 0) return "unclear";
  return gap > 0 === higherIsBetter(metric) ? "worse" : "better";
}

function finalParts(comparison, final) {
  const federated = comparison.runs.filter((run) => run.role === "federated");
  const steps = Math.max(0, ...federated.map((run) => run.step.at(-1) ?? 0));
  const seeds = new Set(federated.map((run) => run.seed)).size;
  const over = seeds > 1 ? `bootstrap over the test examples and ${plural(seeds, "seed")}` : "bootstrap over the test examples";
  return [
    { text: `After ${plural(steps, "round")} the federated model is ` },
    ...compared(final),
    { text: ` the pooled one in test ${metricName(comparison.metric)}${direction(comparison, final)}.` },
    ...doubt(final, `${percent(final.confidence, { digits: 0 })} CI, ${over}`),
  ];
}

function gapParts(comparison, gap) {
  const { differs } = groupsOf(comparison.runs).find(({ key }) => key === gap.group);
  const who = `the federated model${differs ? ` (${differs})` : ""}`;
  const at = lastGap(gap);
  const unlike = isUnlike(comparison);
  if (at !== null && !unlike) return runningParts(comparison, gap, { at, who });
  if (gap.test === null || !(unlike || comparison.stage === "test")) return null;
  return testParts(comparison, gap, who);
}

function testParts(comparison, gap, who) {
  const now = { gap: gap.test, low: null, high: null };
  const mean = gap.of.length > 1 ? `, mean of ${plural(gap.of.length, "seed")}` : "";
  return [
    { text: `In the final test ${who} is ` },
    ...compared(now),
    { text: ` the pooled one in ${metricName(comparison.metric)}${direction(comparison, now)}${mean}. `
      + "A confidence interval is part of a comparison's report." },
  ];
}

function runningParts(comparison, gap, { at, who }) {
  const now = { gap: gap.value[at], low: gap.low[at], high: gap.high[at] };
  const running = comparison.runs.some((run) => run.status === "running" || run.status === "pending");
  const stage = stageName(comparison.stage);
  const sure = percent(gap.confidence, { digits: 0 });
  const interval = gap.band === "seeds" ? `${sure} CI, t interval over ${plural(gap.pairs[at], "seed")}, on ${stage}`
    : `${sure} CI, two proportions on the ${stage} rows, one seed`;
  return [
    { text: `${running ? "So far, at" : "At"} ${count(gap.examples[at])} examples seen, ${who} is ` },
    ...compared(now),
    { text: ` the pooled one in ${stage} ${metricName(comparison.metric)}${direction(comparison, now)}.` },
    ...doubt(now, interval),
  ];
}

/** What the interval is, and what follows where 0 is in it. */
function doubt({ gap, low, high }, interval) {
  if (!Number.isFinite(low) || !Number.isFinite(high) || (isNothing(low) && isNothing(high))) return [];
  const chance = low <= 0 && high >= 0 && !isNothing(gap) ? " It includes 0: no clear difference." : "";
  return [{ text: ` ${interval}.${chance}` }];
}

function direction(comparison, result) {
  const word = verdict(comparison.metric, result);
  return word === "unclear" || word === "equal" || higherIsBetter(comparison.metric) ? "" : `, which is ${word}`;
}

/** "0.061 [0.033, 0.089] below": how far the federated model is from the pooled one; "equal to". */
function compared({ gap, low, high }) {
  const above = gap < 0;
  const [from, to] = above ? [-high, -low] : [low, high];
  const known = Number.isFinite(low) && Number.isFinite(high) && !(isNothing(low) && isNothing(high));
  const interval = known ? ` [${number(from)}, ${number(to)}]` : "";
  if (isNothing(gap)) return [{ text: "equal", strong: true }, { text: `${interval} to` }];
  return [{ text: `${number(Math.abs(gap))}${interval} ${above ? "above" : "below"}`, strong: true }];
}

function isNothing(value) {
  return Math.abs(value) < NOTHING;
}

function lastGap(gap) {
  const index = gap.value.findLastIndex((value) => value !== null);
  return index < 0 ? null : index;
}

function withoutGap(comparison) {
  const what = `${stageName(comparison.stage)} ${metricName(comparison.metric)}`;
  const groups = groupsOf(comparison.runs);
  const values = groups.map((group) => [group, mean(group.runs.map((run) => lastValue(run) ?? run.test))])
    .filter(([, value]) => value !== null);
  if (values.length === 0) return `No value of ${what} yet.`;
  const words = values.map(([{ role, differs }, value]) =>
    `${role}${differs ? ` (${differs})` : ""} ${number(value)}`);
  return `Latest ${what}: ${words.join(", ")}. ${whyNoGap(comparison)}`;
}

function whyNoGap(comparison) {
  const { gaps } = comparison;
  if (gaps.length === 0) return "A gap needs a pooled and a federated run.";
  if (isUnlike(comparison) && gaps.some(({ value }) => value.length)) {
    return "Not comparable (see the note below the chart): the gap follows after the final test.";
  }
  const whys = [...new Set(gaps.map(({ why }) => why).filter(Boolean))];
  return whys.map((why) => `No gap: ${why}.`).join(" ");
}
