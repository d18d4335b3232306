"""Tables of what joining brings each site, and of each model on each site's test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.metrics.gap import Interval
from shared.metrics.headline import format_interval
from shared.metrics.site_table import digits_of, gain_of, interval_of, models_of
from simulations.report.figure_style import capitalized, metric_name
from simulations.report.tables import Cell, DataTable, Shown


def gain_table(gains: Mapping[str, Any]) -> DataTable:
    """What joining brings each site, see `simulations.report.site_gains`; each value with its ends below."""
    models, digits = models_of(gains), digits_of(gains)
    own = gains.get("tests") != "own"  # else the test rows are their own, and tell more than validation rows
    tuned = "fine_tuned" in models
    columns = ["site", "training rows", "test rows", *models.values(), "gain", *["gain, fine-tuned"] * tuned]
    columns += [*(["own rows: alone", "own rows: federated", "own rows: gain"] if own else ()), "note"]
    rows: list[list[Cell]] = []
    for row in gains["rows"]:
        cells: list[Cell] = [row["name"], row["num_examples"], row.get("num_test")]
        cells += [_shown(interval_of(row, key), digits=digits) for key in models]
        cells += [
            _shown(gain_of(row, key), digits=digits, signed=True)
            for key in ("federated", *["fine_tuned"] * tuned)
        ]
        cells += [row[key] for key in ("own_alone", "own_federated", "own_gain")] if own else []
        rows.append([*cells, row.get("note")])
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    name = capitalized(metric_name(gains["metric"]))
    return DataTable(f"{name} of each site, with {100 * gains['confidence']:g} % CI", columns, rows)


def cross_data(gains: Mapping[str, Any]) -> DataTable | None:
    """Each model on each site's test rows; None where the test rows of sites are not known."""
    cross = gains.get("cross")
    if not cross:
        return None
    rows: list[list[Cell]] = [
        [name, *values] for name, values in zip(cross["models"], cross["values"], strict=True)
    ]
    name = capitalized(metric_name(gains["metric"]))
    return DataTable(f"{name} of each model on the test rows of each site", ["model", *cross["tests"]], rows)


def _shown(interval: Interval, *, digits: int, signed: bool = False) -> Shown | None:
    if math.isnan(interval.value):
        return None
    value, _, ends = format_interval(interval, signed=signed, digits=digits).partition(" ")
    return Shown(interval.value, value, ends=ends)
