"""Errors are printed, stored and sent: however long the names that they quote, they have a length."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from shared.config.compose import compose
from shared.runtime.errors import LONGEST_LINE, LONGEST_TEXT, DataError, bullet_list, shortened
from tests.images import load_images

pytestmark = pytest.mark.attack

ROOM = 100  # for what says how much was left out


def test_short_texts_stay_as_they_are() -> None:
    text = "one\n" + "x" * LONGEST_LINE + "\n"
    assert shortened(text) == text
    assert str(DataError(text)) == text


def test_of_a_long_line_beginning_and_end_are_kept() -> None:
    line = "begin " + "x" * 65_000 + " end"
    told = str(DataError(f"first\n{line}\nlast"))
    first, middle, last = told.split("\n")
    assert (first, last) == ("first", "last")
    assert middle.startswith("begin x")
    assert middle.endswith("x end")
    assert f"({len(line) - LONGEST_LINE:,} more characters)" in middle
    assert len(middle) < LONGEST_LINE + ROOM


def test_many_long_lines_are_bounded_together() -> None:
    told = str(DataError(bullet_list(["y" * 65_000] * 60)))
    assert len(told) < LONGEST_TEXT + ROOM


@pytest.mark.parametrize("kind", ["names", "column", "labels"])
def test_a_hostile_zip_gives_a_bounded_error(kind: str, tmp_path: Path) -> None:
    long = "n" * 60_000
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        if kind == "names":
            for number in range(60):
                archive.writestr(f"images/../{number}{long}", b"")
            archive.writestr("metadata.csv", "filename,label\n")
        elif kind == "column":
            archive.writestr("metadata.csv", f"{long},{long}2\n1,2\n")
        else:
            rows = "".join(f"{number}{long}.png,{number % 2}{long}\n" for number in range(60))
            archive.writestr("metadata.csv", f"filename,label\n{rows}")
    with pytest.raises(DataError) as caught:
        load_images(compose(["data=zip", f"data.path={path}"]).data, cache_dir=tmp_path / "cache")
    assert len(str(caught.value)) < LONGEST_TEXT + ROOM


def test_what_any_other_error_says_of_a_run_is_bounded_too(store) -> None:  # type: ignore[no-untyped-def]
    run_id = store.runs.create(name="a", training_mode="federated", config={}, seed=0)
    store.runs.finish(run_id, "failed", error="z" * 10**6)
    assert len(store.runs.get(run_id).error) < LONGEST_TEXT + ROOM
