"""Which metric stands for all, and in which words and numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from shared.metrics.catalogue import CLASSIFICATION, MULTI_LABEL, REGRESSION
from shared.metrics.gap import GapRow, Interval, verdict
from shared.metrics.gap_record import gap_record
from shared.metrics.headline import format_interval, format_value, headline, summary_sentence
from shared.metrics.spec import MetricSpec
from tests.gaps import row

NAN = float("nan")
FLOORS = {"seasonal_mae": 0.66, "persistence_mae": 1.0}


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.98249, False, "0.982"),
        (0.0042, True, "+0.004"),
        (-0.0042, True, "-0.004"),
        (-0.0004, True, "0.000"),
        (0.0, True, "0.000"),
        (12.3456, False, "12.346"),
        (123.456, False, "123.5"),
        (-43210.9, True, "-43,211"),
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


def test_the_numbers_of_an_interval_have_as_many_decimals() -> None:
    assert format_interval(Interval(99.5, 98.25, 101.25)) == "99.5 [98.2, 101.2]"
    assert format_interval(Interval(950.5, 80.0, 1200.4)) == "950 [80, 1,200]"


@pytest.mark.parametrize(
    ("pooled", "federated", "told"),
    [
        (0.5, 0.6, ""),
        (0.5, 0.7, "The federated model does not beat a plain forecast (MAE, seasonal floor 0.660)."),
        (0.7, 0.8, "Neither model beats a plain forecast (MAE, seasonal floor 0.660)."),
    ],
)
def test_a_forecast_that_loses_to_its_floor_says_so(pooled: float, federated: float, told: str) -> None:
    mae = row("mae", pooled, federated, (-0.2, -0.1), better="lower")
    floors = [row(name, value, value, (0, 0), better="lower") for name, value in FLOORS.items()]
    sentence = summary_sentence(mae, num_clients=2, rows=[mae, *floors])
    assert sentence.partition("(95 % CI).")[2].strip() == told
    assert summary_sentence(floors[0], num_clients=2, rows=floors).endswith("equal to pooled training.")


def test_a_test_of_one_block_has_no_interval_and_says_why() -> None:
    without = replace(row("mae", 0.5, 0.6, (NAN, NAN), better="lower"), groups=0, noun="7-d block")
    assert "the test is shorter than two 7-d blocks" in summary_sentence(without, num_clients=2)


def test_errors_of_small_targets_do_not_look_like_zero() -> None:
    small = row("mae", 0.00042, 0.00047, (-0.00007, -0.00003), better="lower")
    assert summary_sentence(small, num_clients=2) == (
        "Federated training with 2 clients reaches MAE 0.000470, 0.000050 [0.000030, 0.000070] worse than "
        "pooled training (95 % CI)."
    )


def test_less_of_an_error_is_better() -> None:
    fewer = row("mae", 9.0, 8.5, (0.25, 0.75), better="lower")
    assert summary_sentence(fewer, num_clients=2) == (
        "Federated training with 2 clients reaches MAE 8.500, 0.500 [0.250, 0.750] better than pooled training "
        "(95 % CI)."
    )


def test_sentence_says_worse_better_or_not_clear() -> None:
    below = row("auroc", 0.986, 0.982, (0.001, 0.008))
    assert summary_sentence(below, num_clients=4) == (
        "Federated training with 4 clients reaches AUROC 0.982, 0.004 [0.001, 0.008] worse than pooled "
        "training (95 % CI)."
    )
    above = row("auroc", 0.980, 0.985, (-0.009, -0.002))
    assert summary_sentence(above, num_clients=1) == (
        "Federated training with 1 client reaches AUROC 0.985, 0.005 [0.002, 0.009] better than pooled "
        "training (95 % CI)."
    )
    unclear = row("auroc", 0.984, 0.982, (-0.001, 0.005))
    assert summary_sentence(unclear, num_clients=4) == (
        "Federated training with 4 clients reaches AUROC 0.982; pooled training reaches 0.984, and the gap "
        "+0.002 [-0.001, +0.005] is not clearly different from 0 (95 % CI)."
    )


def test_the_headline_is_the_first_that_is_defined() -> None:
    loss, accuracy = row("loss", 0.2, 0.3, (-0.2, -0.1), better="lower"), row("accuracy", 0.9, 0.8, (0.05, 0.2))
    auroc, undefined = row("auroc", 0.9, 0.8, (0.05, 0.2)), row("auroc", NAN, NAN, (NAN, NAN))
    assert headline([loss, accuracy, auroc]) is loss
    assert headline([auroc, accuracy]) is auroc
    assert headline([undefined, accuracy, loss]) is accuracy
    assert headline([undefined]) is undefined
    assert headline([auroc, accuracy], metric="accuracy") is accuracy, "what the comparison has stored"
    assert headline([undefined, accuracy], metric="auroc") is undefined, "it does not change by itself"
    assert "not defined" in summary_sentence(undefined, num_clients=2)


def test_the_tested_epoch_and_round_follow() -> None:
    below = row("auroc", 0.986, 0.982, (0.001, 0.008))
    tested = "Tested after epoch 4 (pooled) and round 9 (federated)."
    assert summary_sentence(below, num_clients=4, tested=tested).endswith(f"(95 % CI). {tested}")


def test_a_metric_of_ones_own_has_its_own_label() -> None:
    own = replace(row("dice", 0.9, 0.9, (0.0, 0.0)), label="Dice")
    assert "reaches Dice 0.900" in summary_sentence(own, num_clients=2)
    assert GapRow.from_json(asdict(own)).title == "Dice"
    assert row("auroc", 0.9, 0.9, (0.0, 0.0)).title == "AUROC"


def test_no_difference_is_equal() -> None:
    same = row("auroc", 0.9, 0.9, (0.0, 0.0))
    assert same.verdict == "equal"
    assert summary_sentence(same, num_clients=2) == (
        "Federated training with 2 clients reaches AUROC 0.900, equal to pooled training."
    )


def test_a_metric_without_a_better_direction_has_no_verdict() -> None:
    assert verdict(Interval(0.2, 0.1, 0.3), None) == "unclear"
    assert verdict(Interval(0.2, 0.1, 0.3), "higher") == "worse"
    told = summary_sentence(replace(row("own", 0.9, 0.7, (0.1, 0.3)), better=None), num_clients=2)
    assert "Pooled minus federated is +0.200 [+0.100, +0.300]" in told


@pytest.mark.parametrize("spec", [*CLASSIFICATION, *MULTI_LABEL, *REGRESSION], ids=lambda spec: spec.name)
def test_positive_is_worse_in_number_word_and_mark_for_every_metric(spec: MetricSpec) -> None:
    good, bad = (0.9, 0.4) if spec.better == "higher" else (0.4, 0.9)
    for pooled, federated, sign, word in ((good, bad, "+", "worse"), (bad, good, "-", "better")):
        gap = pooled - federated
        found = row(spec.name, pooled, federated, (gap - 0.1, gap + 0.1), better=spec.better or "higher")
        record = gap_record(found)
        assert found.verdict == record["verdict"] == word
        assert found.cost.value == pytest.approx(0.5 if word == "worse" else -0.5)
        assert (found.cost.low > 0) == (word == "worse")
        assert record["text"]["gap"] == f"{sign}0.500"
        assert record["text"]["verdict"] == {"worse": "▲ worse", "better": "▼ better"}[word]
        assert f"0.500 [0.400, 0.600] {word} than pooled training" in summary_sentence(found, num_clients=2)


def test_a_row_is_read_as_a_summary_keeps_it() -> None:
    stored = {"value": 0.9, "low": None, "high": None}
    read = GapRow.from_json(
        {
            "metric": "auroc",
            "pooled": stored,
            "federated": stored,
            "gap": stored,
            "local": None,
            "better": "higher",
            "confidence": 0.95,
            "undefined": 3,
        }
    )
    assert (read.pooled.value, read.local, read.undefined) == (0.9, None, 3)
    assert math.isnan(read.gap.low)
    assert read.verdict == "undefined"
