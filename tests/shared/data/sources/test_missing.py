"""Files that a table names and nobody has: counted in one line, with one that may be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.data.sources.missing import in_one, tell_missing


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("images/000", "images/000.png"),
        ("images/000.png", "images/000.PNG"),
        ("images/000.png", "000.png"),
        ("images/sub\\000.png", "images/sub/000.png"),
    ],
)
def test_a_file_that_may_be_meant_is_named_once(tmp_path: Path, wanted: str, there: str) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).touch()
    found = tell_missing({4: "images/nowhere.png", 2: wanted}, [], tmp_path)
    assert found[2].endswith(f"{wanted} ({there} is there)")
    assert found[4].endswith("images/nowhere.png")
    assert tell_missing({}, [], tmp_path) == {}


def test_many_missing_files_are_one_line(tmp_path: Path) -> None:
    few = [f"'{row}' {text}" for row, text in tell_missing({1: "a", 2: "b"}, [], tmp_path).items()]
    assert in_one(few) == few
    many = list(tell_missing(dict.fromkeys(range(40), "a"), [], tmp_path).values())
    first, second = in_one(["broken", *many])
    assert first.startswith("40 rows")
    assert second == "broken"
