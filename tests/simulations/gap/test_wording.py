from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from simulations.gap.bootstrap import Better, GapRow, Interval
from simulations.gap.wording import (
    LABELS,
    format_interval,
    format_value,
    gap_table,
    headline,
    label,
    summary_sentence,
)

NAN = float("nan")


def row(
    metric: str,
    pooled: float,
    federated: float,
    ends: tuple[float, float],
    *,
    better: Better = "higher",
    local: bool = False,
    undefined: int = 0,
) -> GapRow:
    def around(value: float) -> Interval:
        return Interval(value, value - 0.01, value + 0.01)

    return GapRow(
        metric=metric,
        pooled=around(pooled),
        federated=around(federated),
        gap=Interval(pooled - federated, *ends),
        local=around(0.7) if local else None,
        better=better,
        confidence=0.95,
        undefined=undefined,
    )


def printed(rows: list[GapRow], *, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(gap_table(rows))
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.98249, False, "0.982"),
        (0.0042, True, "+0.004"),
        (-0.0042, True, "-0.004"),
        (-0.0004, True, "0.000"),
        (0.0, True, "0.000"),
        (12.3456, False, "12.346"),
        (NAN, True, "n/a"),
    ],
)
def test_numbers_have_three_decimals_and_zero_has_no_sign(value: float, signed: bool, text: str) -> None:
    assert format_value(value, signed=signed) == text


def test_interval_in_brackets() -> None:
    assert format_interval(Interval(0.004, 0.001, 0.008), signed=True) == "+0.004 [+0.001, +0.008]"
    assert format_interval(Interval(0.982, 0.971, 0.99)) == "0.982 [0.971, 0.990]"
    assert format_interval(Interval(0.0, 0.0, 0.0), signed=True) == "0.000 [0.000, 0.000]"
    assert format_interval(Interval(NAN, NAN, NAN)) == "n/a"


def test_an_end_that_is_not_zero_does_not_look_like_zero() -> None:
    assert format_interval(Interval(0.003, 0.0002, 0.006), signed=True) == "+0.0030 [+0.0002, +0.0060]"


def test_labels() -> None:
    assert label("auroc") == "AUROC"
    assert label("balanced_accuracy") == "balanced accuracy"


def test_sentence_says_below_above_or_not_clear() -> None:
    below = row("auroc", 0.986, 0.982, (0.001, 0.008))
    assert summary_sentence([below], num_clients=4) == (
        "Federated training with 4 clients reaches AUROC 0.982, 0.004 [0.001, 0.008] below pooled training."
    )
    above = row("auroc", 0.980, 0.985, (-0.009, -0.002))
    assert summary_sentence([above], num_clients=1) == (
        "Federated training with 1 client reaches AUROC 0.985, 0.005 [0.002, 0.009] above pooled training."
    )
    unclear = row("auroc", 0.984, 0.982, (-0.001, 0.005))
    assert summary_sentence([unclear], num_clients=4) == (
        "Federated training with 4 clients reaches AUROC 0.982; pooled training reaches 0.984, and the gap "
        "+0.002 [-0.001, +0.005] is not clearly different from 0."
    )


def test_headline_is_auroc_or_the_first_that_is_defined() -> None:
    loss, accuracy = row("loss", 0.2, 0.3, (-0.2, -0.1), better="lower"), row("accuracy", 0.9, 0.8, (0.05, 0.2))
    auroc, undefined = row("auroc", 0.9, 0.8, (0.05, 0.2)), row("auroc", NAN, NAN, (NAN, NAN))
    assert headline([loss, accuracy, auroc]) is auroc
    assert headline([loss, accuracy, undefined]) is accuracy
    assert headline([loss, undefined]) is loss
    assert "not defined" in summary_sentence([undefined], num_clients=2)


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
        assert line.endswith("▼ worse")
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


def test_resamples_left_out_are_told() -> None:
    text = " ".join(printed([row("recall", 0.9, 0.8, (0.05, 0.2), undefined=1234)]))
    assert "Resamples dropped" in text
    assert "recall 1,234" in text
    assert "dropped" not in " ".join(printed([row("recall", 0.9, 0.8, (0.05, 0.2))]))
