"""What was read, as text and as what is stored."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.data.summary import DataSummary, tell_once

SUMMARY = DataSummary(
    origin="/data/xrays",
    layout="data=classes",
    rows={"train": 10, "test": 1234},
    counts={"label": {"covid": {"train": 4, "test": 1200}, "healthy": {"train": 6, "test": 34}}},
    spans={"age": {"train": (3.0, 80.0)}},
    positive="covid",
    groups={"train": 5, "test": 7},
    facts={"pixels": "8 bit", "duplicates": "none"},
    notes=("3 files are ignored",),
)


def cells(line: str) -> list[str]:
    return line.split()


def test_rows_by_class_and_side_with_their_sums() -> None:
    assert SUMMARY.table("label") == [("covid", [4, 1200, 1204]), ("healthy", [6, 34, 40])]
    lines = [cells(line) for line in SUMMARY.lines()]
    assert ["rows", "train", "test", "all"] in lines
    assert ["label", "0", "covid", "(positive)", "4", "1,200", "1,204"] in lines
    assert ["label", "1", "healthy", "6", "34", "40"] in lines
    assert ["all", "10", "1,234", "1,244"] in lines
    assert ["patients", "train", "5,", "test", "7"] in lines
    assert ["age", "train", "3", "to", "80"] in lines
    assert ["duplicates", "none"] in lines
    assert lines[-1] == cells("note 3 files are ignored")


def test_what_is_stored_is_read_again() -> None:
    stored = json.loads(json.dumps({**SUMMARY.as_dict(), "of a later version": 1}))
    assert DataSummary.from_dict(stored).lines() == SUMMARY.lines()


def test_many_classes_are_cut_where_nobody_asked_for_all() -> None:
    counts = {"label": {f"c{number}": {"train": 100 - number} for number in range(40)}}
    many = replace(SUMMARY, rows={"train": 4000}, counts=counts, groups=None, positive=None)
    assert len(many.lines()) < 16
    assert "and 34 more; the rarest is c39 (61)" in "\n".join(many.lines())
    assert "c38" in str(many)


def test_it_is_printed_once_a_process_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    odd = replace(SUMMARY, origin="/data/\x1b[2Jxrays")
    tell_once(odd)
    tell_once(odd)
    said = capsys.readouterr().err
    assert said.count("/data/") == 1
    assert "\x1b" not in said
