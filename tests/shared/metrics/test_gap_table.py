from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from shared.metrics.catalogue import CLASSIFICATION, naming
from shared.metrics.gap import GapRow
from shared.metrics.gap_table import gap_table
from tests.gaps import row


def printed(rows: list[GapRow], *, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(gap_table(rows))
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


LABELS = {spec.name: spec.label for spec in CLASSIFICATION}


@pytest.mark.parametrize("local", [False, True])
def test_every_row_fits_on_a_line_of_80_columns(local: bool) -> None:
    rows = [row(metric, 0.986, 0.982, (0.0002, 0.008), local=local) for metric in LABELS]
    lines = printed(rows)
    assert max(map(len, lines)) <= 80
    for name in LABELS.values():
        line = next(line for line in lines if line.startswith(f"{name} "))
        assert "0.986" in line
        assert "0.982" in line
        assert ("0.700" in line) == local
        assert "+0.0040 [+0.0002, +0.0080]" in line
        assert line.endswith("▲ worse")
    assert not any("…" in line for line in lines)


def test_verdict_is_a_word_not_only_a_colour() -> None:
    lines = printed(
        [
            row("accuracy", 0.9, 0.8, (0.05, 0.2)),
            row("loss", 0.5, 0.4, (0.05, 0.2), better="lower"),
            row("f1", 0.9, 0.89, (-0.1, 0.2)),
            row("auroc", math.nan, math.nan, (math.nan, math.nan)),
        ]
    )
    found = {line.split()[0]: line.split()[-1] for line in lines if " ↑ " in line or " ↓ " in line}
    assert found["accuracy"] == "worse"
    assert found["loss"] == "better"
    assert found["F1"] == "unclear"
    assert found["AUROC"] == "undefined"


def test_the_class_of_a_metric_does_not_break_the_table_of_80_columns() -> None:
    rows = [row(metric, 0.986, 0.982, (-0.0302, 0.1351)) for metric in LABELS]
    with naming("pneumonia"):
        lines = printed(rows)
    assert max(map(len, lines)) <= 80
    recall = next(place for place, line in enumerate(lines) if line.startswith("recall"))
    assert lines[recall].endswith("unclear")
    assert lines[recall + 1].strip() == "(pneumonia) ↑"


def test_what_the_intervals_are_from_stands_above_them() -> None:
    counted = replace(row("recall", 0.9, 0.8, (0.05, 0.2)), groups=57, noun="patient", seeds=3)
    assert "95 % CI, 57 test patients, 3 seeds" in printed([counted])[0]
    assert printed([row("recall", 0.9, 0.8, (0.05, 0.2))])[0].strip() == "Federated gap, 95 % CI"


def test_why_there_is_no_interval_is_told() -> None:
    without = row("recall", 0.9, 0.8, (math.nan, math.nan))
    for known, told in (
        ({"groups": 1, "noun": "patient"}, "all test rows are of one patient"),
        ({"groups": 9, "noun": "patient", "undefined": 1}, "rests on one patient: recall"),
    ):
        text = " ".join(printed([replace(without, **known)]))
        assert "no interval" in text
        assert told in " ".join(text.split())
