from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from shared.metrics.gap import Interval
from shared.metrics.site_table import models_of, site_sentence, sites_told, verdict_of

NAN = float("nan")


def row(name: str, gain: float | None, ends: tuple[float, float] | None = None, **more: Any) -> dict[str, Any]:
    low, high = ends or (None, None)
    return {
        "name": name,
        "num_examples": 40,
        "alone": 0.7,
        "federated": 0.7 + (gain or 0),
        "gain": gain,
        "low": low,
        "high": high,
        "own_alone": None,
        "own_federated": None,
        "own_gain": None,
        **more,
    }


def gains(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metric": "accuracy", "better": "higher", "confidence": 0.95, "rows": list(rows), **more}


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((0.1, 0.2), "better"), ((-0.2, -0.1), "worse"), ((-0.1, 0.1), "unclear"), ((NAN, NAN), "undefined")],
)
def test_what_a_gain_says(ends: tuple[float, float], expected: str) -> None:
    assert verdict_of(Interval(sum(ends) / 2, *ends)) == expected


def test_the_sentence_counts_the_sites() -> None:
    north, south = row("north", 0.1, (0.05, 0.2)), row("south", -0.1, (-0.2, -0.05))
    assert site_sentence(gains(north, {**north, "name": "east"})) == (
        "Joining, in accuracy against training alone, is clearly better for 2 of 2 sites."
    )
    assert site_sentence(gains(north, south, row("west", None, note="2 test rows: too few"))) == (
        "Joining, in accuracy against training alone, is clearly better for 1 of 3 sites (north), clearly "
        "worse for 1 of 3 sites (south) and not to be said for 1 of 3 sites (west)."
    )


def test_four_models_of_two_sites_fit_into_80_columns() -> None:
    models = {
        f"{name}{end}": value
        for name in ("pooled", "federated", "alone", "fine_tuned")
        for end, value in (("", 0.75), ("_low", 0.61), ("_high", 0.87))
    }
    whole = {**row("VA Long Beach", 0.05, (-0.012, 0.101)), **models, "num_test": 45}
    small = {**row("Basel [red]", None, num_test=2), "note": "2 test rows: too few, expected 6 or more"}
    cross = {"models": ["pooled"], "tests": ["VA Long Beach", "all"], "values": [[None, 0.5]]}
    console = Console(width=80, record=True, file=StringIO())
    console.print(*sites_told({"site_gains": gains(whole, small, tests="own", cross=cross)}), sep="\n")
    shown = console.export_text()
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "[0.61, 0.87] [0.61, 0.87] [0.61, 0.87] [0.61, 0.87] [-0.01, +0.10]" in shown
    assert "45 test rows" in shown
    assert "Basel [red]: 2 test rows: too few, expected 6 or more." in " ".join(shown.split())
    assert "Each site on its own test rows." in shown


def test_an_interval_stands_below_its_value_where_a_row_is_a_block() -> None:
    whole = {**row("north", 0.05, (-0.012, 0.101)), "alone_low": 0.6, "alone_high": 0.8, "num_test": 45}
    console = Console(width=40, record=True, file=StringIO())
    console.print(*sites_told({"site_gains": gains(whole, tests="own")}), sep="\n")
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    place = lines.index("  alone      0.700")
    assert lines[place + 1] == "             [0.60, 0.80]"


def test_what_an_earlier_version_stored_is_shown() -> None:
    old = gains(row("north", 0.1, (0.05, 0.2)))
    assert list(models_of(old)) == ["federated", "alone"]
    console = Console(width=80, record=True, file=StringIO())
    console.print(*sites_told({"site_gains": old}), sep="\n")
    assert "All sites on the same test rows" in console.export_text()
    assert sites_told({}) == []
