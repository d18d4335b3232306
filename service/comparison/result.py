"""`result`: the result of a comparison as a sentence for the page, with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from shared.metrics.catalogue import label
from shared.metrics.gap import GapRow, Interval
from shared.metrics.headline import format_distance, format_value, meaning, row_distance, summary_sentence
from shared.metrics.spec import Better

STAGES = {"train": "training", "val": "validation", "test": "test"}
Words = list[dict[str, Any]]


def result(
    comparison: Mapping[str, Any], final: Sequence[GapRow], *, num_clients: int, tested: str = ""
) -> Words:
    """The sentence above the chart.

    Parameters
    ----------
    comparison : mapping
        See `service.api.chart_schemas.Comparison`, without its ``result``.
    final : sequence of GapRow
        The selected metric's row of a finished comparison, if there is one.
    num_clients : int
        Of the federated runs.
    tested : str
        After which epochs and rounds, see `shared.tracking.twins.when_tested`.

    Returns
    -------
    list of dict
        Parts with ``text``, and ``strong`` for the numbers; see `service.api.chart_schemas.Words`.
    """
    more = f" {tested}" if tested else ""
    if final and final[0].verdict == "undefined" and not math.isnan(final[0].gap.value):
        return _words(f"{summary_sentence(final, num_clients=num_clients)}{more}")
    if final and final[0].verdict != "undefined":
        (row,) = final
        distance = row_distance(row)
        before, found, after = summary_sentence([row], num_clients=num_clients).partition(distance)
        seeds = len({run["seed"] for run in comparison["runs"] if run["role"] == "federated"})
        over = f"the test examples and {seeds} seeds" if seeds > 1 else "the test examples"
        how = f"t interval over {seeds} seeds" if row.per_run else f"bootstrap over {over}"
        interval = f" {100 * row.confidence:g} % CI, {how}."
        return [*_words(before), *_words(found, strong=True), *_words(f"{after}{interval}{more}")]
    told = [words for gap in comparison["gaps"] if (words := _of_gap(comparison, gap))]
    if told:
        return [part for place, words in enumerate(told) for part in (_words(" ") * bool(place) + words)]
    return _words(_without_gap(comparison))


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
        *_compared(now),
        *_words(
            f" the pooled one in {label(comparison['metric'])}{_direction(now, comparison['better'])}{mean}. "
            "The confidence interval follows when the comparison ends."
        ),
    ]


def _running(comparison: Mapping[str, Any], gap: Mapping[str, Any], *, who: str) -> Words:
    low, high = (math.nan if gap[end][-1] is None else gap[end][-1] for end in ("low", "high"))
    now = Interval(gap["value"][-1], low, high)
    running = any(run["status"] in ("running", "pending") for run in comparison["runs"])
    stage, confidence = STAGES[comparison["stage"]], f"{100 * gap['confidence']:g} % CI"
    interval = (
        f"{confidence}, t interval over {gap['pairs'][-1]} seeds, on {stage}."
        if gap["band"] == "seeds"
        else f"{confidence}, two proportions on the {stage} rows, one seed."
    )
    doubt = ""
    if not math.isnan(low) and not now.is_nothing:
        chance = " It includes 0: no clear difference." if low <= 0 <= high else ""
        doubt = f" {interval}{chance}"
    return [
        *_words(f"{'So far, at' if running else 'At'} {gap['examples'][-1]:,} examples seen, {who} is "),
        *_compared(now),
        *_words(
            f" the pooled one in {stage} {label(comparison['metric'])}{_direction(now, comparison['better'])}."
            f"{doubt}"
        ),
    ]


def _compared(now: Interval) -> Words:
    distance = format_distance(now)
    nothing = math.isnan(now.low) and float(format_value(now.value).replace(",", "")) == 0
    if nothing or now.is_nothing:
        return [*_words("equal", strong=True), *_words(" to")]
    return _words(distance, strong=True)


def _direction(now: Interval, better: Better | None) -> str:
    return meaning(now if not math.isnan(now.low) else Interval(now.value, now.value, now.value), better)


def _without_gap(comparison: Mapping[str, Any]) -> str:
    what = f"{STAGES[comparison['stage']]} {label(comparison['metric'])}"
    values: dict[tuple[str, str], list[float]] = {}
    for run in comparison["runs"]:
        finite = [value for value in run["value"] if value is not None]
        last = finite[-1] if finite else run["test"]
        if last is not None:
            values.setdefault((run["role"], run["differs"]), []).append(last)
    if not values:
        return f"No value of {what} yet."
    order = ("pooled", "federated", "local")
    shown = []
    for (role, differs), found in sorted(values.items(), key=lambda item: order.index(item[0][0])):
        shown.append(f"{role}{f' ({differs})' if differs else ''} {format_value(fmean(found))}")
    return f"Latest {what}: {', '.join(shown)}. {_why_no_gap(comparison)}"


def _why_no_gap(comparison: Mapping[str, Any]) -> str:
    if not comparison["gaps"]:
        return "A gap needs a pooled and a federated run."
    whys = dict.fromkeys(gap["why"] for gap in comparison["gaps"] if gap["why"])
    return " ".join(f"No gap: {why}." for why in whys)


def _words(text: str, *, strong: bool = False) -> Words:
    return [{"text": text, "strong": strong}] if text else []
