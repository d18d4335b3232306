"""`result`: the result of a comparison as a sentence for the page, with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from shared.metrics.catalogue import label
from shared.metrics.gap import GapRow, Interval
from shared.metrics.headline import distance, format_cost, format_value, summary_sentence
from shared.metrics.spec import Better

STAGES = {"train": "training", "val": "validation", "test": "test"}
Words = list[dict[str, Any]]
_MOST_TOLD = 4  # gaps, or groups of runs; the legend has the numbers of all


def result(
    comparison: Mapping[str, Any],
    final: GapRow | None,
    *,
    num_clients: int,
    tested: str = "",
    rows: Sequence[GapRow] = (),
    more: bool = False,
) -> Words:
    """The sentence above the chart.

    Parameters
    ----------
    comparison : mapping
        See `service.api.chart_schemas.Comparison`, without its ``result``.
    final : GapRow, optional
        The selected metric's row of a finished comparison, if there is one.
    num_clients : int
        Of the federated runs.
    tested : str
        After which epochs and rounds, see `shared.tracking.twins.when_tested`.
    rows : sequence of GapRow
        Of all metrics of a finished comparison.
    more : bool
        Whether runs of the comparison are still to come.

    Returns
    -------
    list of dict
        Parts with ``text``, and ``strong`` for the numbers; see `service.api.chart_schemas.Words`.
    """
    if final is not None and final.has_value:
        sentence = summary_sentence(final, num_clients=num_clients, tested=tested, rows=rows)
        before, found, after = sentence.partition(distance(final))
        return [*_words(before), *_words(found, strong=True), *_words(after)]
    told = [words for gap in comparison["gaps"] if (words := _of_gap(comparison, gap))]
    if told:
        left = len(told) - _MOST_TOLD
        rest = _words(f" {left} more are in the chart.") if left > 0 else []
        first = enumerate(told[:_MOST_TOLD])
        return [*(part for place, words in first for part in (_words(" ") * bool(place) + words)), *rest]
    return _words(_without_gap(comparison, more=more or _is_running(comparison)))


def _of_gap(comparison: Mapping[str, Any], gap: Mapping[str, Any]) -> Words:
    differs = next(run["differs"] for run in comparison["runs"] if run["group"] == gap["group"])
    who = f"the federated model{f' ({differs})' if differs else ''}"
    if gap["value"]:
        return _running(comparison, gap, who=who)
    if gap["test"] is None or comparison["stage"] != "test":
        return []
    now = Interval(gap["test"], math.nan, math.nan)
    mean = f", mean of {len(gap['of'])} seeds" if len(gap["of"]) > 1 else ""
    return [
        *_words(f"In the final test {who} is "),
        *_compared(now, comparison["better"]),
        *_words(
            f" the pooled one in {label(comparison['metric'])}{mean}. "
            "The confidence interval follows when the comparison ends."
        ),
    ]


def _running(comparison: Mapping[str, Any], gap: Mapping[str, Any], *, who: str) -> Words:
    low, high = (math.nan if gap[end][-1] is None else gap[end][-1] for end in ("low", "high"))
    now = Interval(gap["value"][-1], low, high)
    running = _is_running(comparison)
    stage, confidence = STAGES[comparison["stage"]], f"{100 * gap['confidence']:g} % CI"
    interval = f"{confidence}, t interval over {gap['pairs'][-1]} seeds, on {stage}."
    doubt = ""
    if not math.isnan(low) and not now.is_nothing:
        chance = " It includes 0: no clear difference." if low <= 0 <= high else ""
        doubt = f" {interval}{chance}"
    return [
        *_words(f"{'So far, at' if running else 'At'} {gap['examples'][-1]:,} examples seen, {who} is "),
        *_compared(now, comparison["better"]),
        *_words(f" the pooled one in {stage} {label(comparison['metric'])}.{doubt}"),
    ]


def _compared(now: Interval, better: Better | None) -> Words:
    nothing = math.isnan(now.low) and float(format_value(now.value).replace(",", "")) == 0
    if nothing or now.is_nothing:
        return [*_words("equal", strong=True), *_words(" to")]
    if better is None:  # pooled minus federated: nothing is worse
        return _words(format_cost(now, words=("below", "above")), strong=True)
    return [*_words(format_cost(now), strong=True), *_words(" than")]


def _without_gap(comparison: Mapping[str, Any], *, more: bool) -> str:
    what = f"{STAGES[comparison['stage']]} {label(comparison['metric'])}"
    values: dict[tuple[str, str], list[float]] = {}
    for run in comparison["runs"]:
        finite = [value for value in run["value"] if value is not None]
        last = finite[-1] if finite else run["test"]
        if last is not None:
            values.setdefault((run["role"], run["differs"]), []).append(last)
    if not values:
        return f"No value of {what} yet."
    why = _why_no_gap(comparison, more=more)
    if len(values) > _MOST_TOLD:
        low, *_, high = sorted(fmean(found) for found in values.values())
        span = f"{format_value(low)} to {format_value(high)}"
        return f"Latest {what}: {span}, by {len(values)} choices of settings. {why}"
    order = ("pooled", "federated", "local")
    shown = []
    for (role, differs), found in sorted(values.items(), key=lambda item: order.index(item[0][0])):
        shown.append(f"{role}{f' ({differs})' if differs else ''} {format_value(fmean(found))}")
    return f"Latest {what}: {', '.join(shown)}. {why}"


def _why_no_gap(comparison: Mapping[str, Any], *, more: bool) -> str:
    if not comparison["gaps"]:
        needs = "a pooled and a federated run"
        return f"No gap yet: it needs {needs}." if more else f"A gap needs {needs}."
    whys = dict.fromkeys(
        f"No gap{' yet' if gap['yet'] else ''}: {gap['why']}." for gap in comparison["gaps"] if gap["why"]
    )
    return " ".join(whys)


def _is_running(comparison: Mapping[str, Any]) -> bool:
    return any(run["status"] in ("running", "pending") for run in comparison["runs"])


def _words(text: str, *, strong: bool = False) -> Words:
    return [{"text": text, "strong": strong}] if text else []
