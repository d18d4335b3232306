"""Tables as they are loaded: kinds of columns, gaps, the target, and what is named before training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from shared.runtime.errors import ConfigError, DataError
from shared.tasks.image_regression.data import read_numbers
from tests.shared.data.tables.table_kit import load, refused, table_config

ROWS = 40


def table(**columns: list[object]) -> str:
    """A CSV with a label ``y`` that no column tells."""
    rng = np.random.default_rng(0)
    values = {"x": [f"{value:.3f}" for value in rng.normal(size=ROWS)], **columns}
    values.setdefault("y", ["ab"[row] for row in rng.integers(0, 2, ROWS)])
    lines = [",".join(values), *(",".join(map(str, row)) for row in zip(*values.values(), strict=True))]
    return "\n".join(lines)


def repeated(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


KINDS = {
    "whole numbers": (["1", "2", ""], "numeric", (), [1, 2, math.nan]),
    "words for missing values": (["1.5", "NA", "?"], "numeric", (), [1.5, math.nan, math.nan]),
    "texts": (["m", "f", ""], "categorical", ("f", "m"), [1, 0, math.nan]),
    "yes and no": (["yes", "no", ""], "boolean", (), [1, 0, math.nan]),
    "TRUE and FALSE": (["TRUE", "FALSE"], "boolean", (), [1, 0]),
    "t and f": (["t", "f"], "boolean", (), [1, 0]),
    "letters": (["n", "f"], "categorical", ("f", "n"), [1, 0]),
    "four letters": (["t", "f", "y", "n"], "categorical", ("f", "n", "t", "y"), [2, 0, 3, 1]),
    "one letter": (["f", ""], "categorical", ("f",), [0, math.nan]),
    "levels by number": (["stage 2", "stage 10"], "categorical", ("stage 10", "stage 2"), [1, 0]),
}


@pytest.mark.parametrize(("texts", "kind", "levels", "values"), KINDS.values(), ids=KINDS)
def test_what_a_column_holds_says_its_kind(
    texts: list[str], kind: str, levels: tuple[str, ...], values: list[float], tmp_path: Path
) -> None:
    data = load(tmp_path / "rows.csv", table(c=repeated(*texts)))
    column = data.schema.inputs[1]
    assert (column.name, column.kind, column.levels) == ("c", kind, levels)
    np.testing.assert_array_equal(data.inputs[: len(values), 1], values)


def test_kinds_may_be_set(tmp_path: Path) -> None:
    text = table(cp=repeated(1, 2, 10), flag=repeated(0, 1), free=repeated("a", "b"))
    data = load(
        tmp_path / "rows.csv",
        text,
        "data.kinds.cp=categorical",
        "data.kinds.flag=boolean",
        "data.drop=[free]",
    )
    assert [(one.name, one.kind, one.levels) for one in data.schema.inputs] == [
        ("x", "numeric", ()),
        ("cp", "categorical", ("1", "2", "10")),
        ("flag", "boolean", ()),
    ]
    chosen = load(tmp_path / "rows.csv", text, "data.inputs=[cp,x]", "data.levels.cp=[0,1,2,10]")
    assert [one.name for one in chosen.schema.inputs] == ["cp", "x"]
    assert chosen.schema.inputs[0].levels == ("0", "1", "2", "10")
    assert chosen.inputs[:3, 0].tolist() == [1, 2, 3]


def test_commas_and_words_for_missing_values_may_be_set(tmp_path: Path) -> None:
    text = table(w=repeated("1,5", "-9", "unbekannt")).replace(",", ";").replace("1;5", "1,5")
    data = load(
        tmp_path / "rows.csv", text, "data.decimal=','", "data.missing_values=[-9,Unbekannt]", "data.inputs=[w]"
    )
    np.testing.assert_array_equal(data.inputs[:3, 0], [1.5, math.nan, math.nan])
    assert "columns are separated by ';'" in data.notes


def test_single_columns_have_missing_values_of_their_own(tmp_path: Path) -> None:
    text = table(a=repeated(0, 1, 2), b=repeated(0, "0.0", 3), c=repeated("x", "y", "z"))
    data = load(tmp_path / "rows.csv", text, "data.missing_in={b: [0], c: [Y]}")
    np.testing.assert_array_equal(data.inputs[:3, 1], [0, 1, 2])
    np.testing.assert_array_equal(data.inputs[:3, 2], [math.nan, math.nan, 3])
    assert data.schema.inputs[3].levels == ("x", "z")
    assert "there is no column 'd'" in refused(tmp_path / "rows.csv", text, "data.missing_in.d=[0]")


def test_texts_that_were_taken_for_missing_values_are_named(tmp_path: Path) -> None:
    notes = load(tmp_path / "rows.csv", table(c=repeated("+", "-", "+"), d=repeated(1, "NA", ""))).notes
    assert any("'c' is empty in 13 rows (32.5%, also written '-')" in note for note in notes)
    assert any("'d' is empty in 26 rows (65.0%, also written 'NA')" in note for note in notes)


def test_many_columns_with_gaps_are_counted(tmp_path: Path) -> None:
    notes = load(
        tmp_path / "rows.csv", table(**{f"c{number}": repeated(1, 2, "") for number in range(50)})
    ).notes
    assert sum("is empty in" in note for note in notes) == 20
    assert "30 more columns have gaps, with which the same is done" in notes


def test_decimal_commas_are_read_in_a_target_too(tmp_path: Path) -> None:
    numbers = [f'"{row // 7},{row % 7}"' for row in range(ROWS)]
    whole: list[object] = [row * 37 % 101 for row in range(ROWS)]
    text = table(x=whole, y=numbers)
    data = load(tmp_path / "rows.csv", text, "data.decimal=,", read_targets=read_numbers)
    assert data.targets[8, 0] == np.float32(1.1)
    with pytest.raises(DataError, match=r"has y '7\.655', expected a finite number"):
        load(
            tmp_path / "rows.csv", table(y=["7.655", *numbers[1:]]), "data.decimal=,", read_targets=read_numbers
        )


def test_a_target_that_32_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    text = table(y=[f"{1e9 + row / 8}" for row in range(ROWS)])
    with pytest.raises(DataError, match=r"differ by less than 32 bits can tell; subtract 1000000000 from each"):
        load(tmp_path / "rows.csv", text, read_targets=read_numbers)
    load(tmp_path / "rows.csv", table(y=[row * 1e9 for row in range(ROWS)]), read_targets=read_numbers)


DOUBTS = {
    "few whole numbers": (
        repeated(1, 2, 3),
        "numbers with few values, read as numbers: 'c' (3 values); data.kinds.NAME=categorical reads levels",
    ),
    "codes": (
        repeated("007", "010", "12"),
        "column 'c' holds 007, as codes are written, and is read as numbers",
    ),
    "nines": (
        repeated(1.5, 2.5, 2, 3, 999),
        "8 rows have c 999, far from all others (1.5 to 3) and read as a number; data.missing_in.c=[999] if",
    ),
    "zeros": (repeated(85.5, 90, 110, 100, 0), "8 rows have c 0, far from all others (85.5 to 110)"),
    "unknown": (
        repeated("a", "b", "unknown"),
        "column 'c' has the level 'unknown'; data.missing_values names it",
    ),
    "units": (
        repeated("5 mg", "10 mg"),
        "column 'c' is read as 2 levels, and '10 mg' is nearly a number: write 10",
    ),
}


@pytest.mark.parametrize(("values", "note"), DOUBTS.values(), ids=DOUBTS)
def test_what_may_be_something_else_is_told(values: list[object], note: str, tmp_path: Path) -> None:
    text = table(c=values, x=[f"{row * 37 % 101}.5" for row in range(50)][:ROWS])
    notes = load(tmp_path / "rows.csv", text).notes
    assert any(note in one for one in notes), notes
    kinds = "categorical" if "few" in note or "codes" in note else None
    if kinds:
        quiet = load(tmp_path / "rows.csv", text, f"data.kinds.c={kinds}").notes
        assert not any(note in one for one in quiet)


@pytest.mark.parametrize(
    "values",
    [repeated(0, 1), repeated(0.5, 1, 0, 2), repeated("a", "b"), repeated(-2, 0, 1.5), [*range(20)] * 2],
)
def test_plain_columns_are_not_doubted(values: list[object], tmp_path: Path) -> None:
    notes = load(tmp_path / "rows.csv", table(c=values)).notes
    assert [note for note in notes if "'c'" in note.partition("the columns are")[0] or " c " in note] == []


def test_levels_that_nothing_is_learned_about_are_told(tmp_path: Path) -> None:
    text = table(c=[*repeated("a", "b")[:-2], "z", "z"], split=["train"] * 20 + ["val"] * 10 + ["test"] * 10)
    assert (
        "level 'z' of column 'c' is in no training row (2 test rows)" in load(tmp_path / "rows.csv", text).notes
    )


def test_settings_of_columns_are_printed_as_a_shell_takes_them(tmp_path: Path) -> None:
    text = table(**{"a b": [*range(ROWS)]})
    told = refused(tmp_path / "rows.csv", text)
    assert """set 'data.drop=["a b"]', or 'data.kinds={a b: numeric}' if""" in told
    assert len(load(tmp_path / "rows.csv", text, "data.kinds={a b: numeric}").schema.inputs) == 2
    assert len(load(tmp_path / "rows.csv", text, 'data.drop=["a b"]').schema.inputs) == 1
    text = table(**{"a [C]: x": [*range(ROWS)]})
    told = refused(tmp_path / "rows.csv", text)
    assert r"""'data.kinds={a \[C\]\: x: numeric}' if""" in told
    for typed in (r"data.kinds={a \[C\]\: x: numeric}", "data.kinds.a [C]: x=numeric"):
        assert len(load(tmp_path / "rows.csv", text, typed).schema.inputs) == 2


def test_comments_are_named(tmp_path: Path) -> None:
    text = table(c=[*range(ROWS)])
    told = refused(tmp_path / "rows.csv", f"# of a device\n{text}")
    assert "its first line begins with # ('# of a device'), where the names of columns are expected" in told
    assert "line 3 has" not in told
    told = refused(tmp_path / "rows.csv", text.replace("\n", "\n# a pause\n", 1))
    assert "line 2 has 1 values, the header has" in told
    assert "it begins with #: leave comments out" in told


def test_ids_beyond_2_53_are_told_apart_as_texts(tmp_path: Path) -> None:
    text = table(c=[9007199254740993 + row % 4 for row in range(ROWS)])
    found = load(tmp_path / "rows.csv", text, "data.kinds.c=categorical").schema.inputs[-1]
    assert (found.name, len(found.levels)) == ("c", 4)
    assert load(tmp_path / "rows.csv", text, "data.kinds.c=numeric").schema.inputs[-1].kind == "numeric"


WRONG = {
    "ids beyond 2**53": (
        {"c": [9007199254740993 + row // 2 for row in range(ROWS)]},
        "column 'c' holds 9007199254740993, and whole numbers beyond 2**53 (9e15) are not all told apart as "
        "numbers; of ids set data.drop=[c], or data.kinds.c=categorical; of amounts data.kinds.c=numeric",
    ),
    "mixed": (
        {"c": repeated(1, 2, "high")},
        "column 'c' holds numbers and 13 texts: 'high' (line 4); mend them, name texts for missing values in "
        "data.missing_values, or set data.kinds.c=categorical",
    ),
    "decimal commas only": (
        {"c": repeated('"1,5"', '"2,5"')},
        "column 'c' holds numbers with a decimal comma, such as '1,5'; data.decimal=',' reads them",
    ),
    "decimal commas": ({"c": repeated('"1,5"', 2)}, "data.decimal=',' reads decimal commas"),
    "a copy with gaps": (
        {"c": repeated(1, 0, "", 0, 1, 0), "y": repeated("a", "b", "a", "b", "a", "b")},
        "column 'c' says in every row that it is not empty in what the target 'y' says",
    ),
    "letters that are the target": (
        {"c": repeated("n", "f"), "y": repeated(1, 0)},
        "column 'c' says in every row what the target 'y' says",
    ),
    "thousands": (
        {"c": repeated('"7,655"', '"1,300"', '"12,000"')},
        "column 'c' holds numbers with marks between thousands, such as '7,655'; write them without",
    ),
    "some thousands": ({"c": repeated(1, '"7,655"')}, "write '7,655' without marks between thousands"),
    "other dates": ({"c": repeated("01.02.2020", "17.03.2021")}, "column 'c' holds times"),
    "months": ({"c": repeated("2024-01", "2024-02")}, "column 'c' holds times"),
    "hours": ({"c": repeated("10:30", "11:45")}, "column 'c' holds times"),
    "one bin": ({"y": repeated(1, 2)}, "data.target_bins=[500.0] leaves one class: all rows are 'up to 500'"),
    "spelling": ({"c": repeated("Male", "male")}, "levels of column 'c' differ only in"),
    "infinite": (
        {"c": repeated(1, "inf", 2)},
        "column 'c' is infinite, or beyond 1e+100, in 13 rows, the first is line 3",
    ),
    "free text": (
        {"c": [f"text {row}" for row in range(ROWS)], "z": repeated(1, 2)},
        "column 'c' holds 40 different texts in 40 rows, such as 'text 0': an id or free text is no input "
        "(data.drop=[c]); of a category, raise data.max_levels=30",
    ),
    "times": ({"c": repeated("2024-01-01", "2024-01-02 10:00")}, "column 'c' holds times"),
    "an id": ({"id": list(range(7, 7 + 2 * ROWS, 2))}, "column 'id' numbers the rows"),
    "a number of its own": ({"c": list(range(ROWS))}, "column 'c' numbers the rows: an id is no input"),
    "the target twice": (
        {"c": repeated("sick", "well"), "y": repeated(1, 0)},
        "column 'c' says in every row what the target 'y' says; set data.drop=[c]",
    ),
    "no target": ({"y": repeated("a", "b", "")}, "the target 'y' is empty in 13 rows, the first is line 4"),
}


@pytest.mark.parametrize(("columns", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_an_input_is_named(
    columns: dict[str, list[object]], message: str, tmp_path: Path
) -> None:
    bins = ["data.target_bins=[500]"] if "target_bins" in message else []
    assert message in refused(tmp_path / "rows.csv", table(**columns), "data.max_levels=30", *bins)


def test_points_are_no_decimal_commas(tmp_path: Path) -> None:
    told = refused(tmp_path / "rows.csv", table(c=repeated("7.655", '"1,5"')), "data.decimal=,")
    assert "column 'c' holds numbers and 20 texts: '7.655' (line 2); write '7.655' without marks" in told


def test_a_rare_class_that_a_column_tells_by_chance_is_no_copy_of_the_target(tmp_path: Path) -> None:
    rare = [*["yes"] * 4, *["no"] * (ROWS - 4)]
    data = load(tmp_path / "rows.csv", table(c=rare, y=rare))
    assert len(data.schema.inputs) == 2


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    text = table(a=repeated(1, "high"), b=repeated("x", "X"), split=repeated("train", "tset"))
    told = refused(tmp_path / "rows.csv", text, "data.drop=[nothing]", "data.kinds.other=numeric")
    for part in (
        "column 'a' holds",
        "levels of column 'b'",
        "'tset' is none of",
        "no column 'nothing'",
        "'other'",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.inputs=[x,z]", "there is no column 'z', only 'x', 'y'"),
        ("data.columns.patient_id=person", "there is no column 'person'"),
        ("data.columns.site=x", None),
    ],
)
def test_a_column_that_is_named_must_be_there(override: str, message: str | None, tmp_path: Path) -> None:
    told = refused(tmp_path / "rows.csv", table(), override)
    assert (message or "no column is left as an input") in told


def test_labels_that_are_other_than_named_are_refused(tmp_path: Path) -> None:
    told = refused(
        tmp_path / "rows.csv", table(y=repeated("1.0", "0.0")), "data.classes=[0,1]", "data.positive=0"
    )
    assert "label '1.0' is none of '0', '1'" in told


def test_the_target_must_be_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "rows.csv", table(), target="label").count("there is no column") == 1
    assert "there is no column 'label', only 'x', 'y'" in refused(
        tmp_path / "rows.csv", table(), target="label"
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.inputs=[x]", "data.drop=[x]"], "data.inputs and data.drop both name x"),
        (["data.inputs=[x,x]"], "data.inputs names x twice"),
        (["data.drop=[y]"], "data.target=y must not be in data.inputs or data.drop"),
        (["data.target_bins=[1,0]"], "expected edges in ascending order"),
        (["data.separator=', '"], "data.separator must be auto or one character"),
        (["data.separator='.'"], "data.separator and data.decimal must differ"),
        (["data.kinds.x=numeric", "data.levels.x=[1]"], "data.levels is for categorical columns"),
        (["data.levels.x=[1,1]"], "data.levels names a level of x twice"),
        (["data.kinds.x=number"], "expected one of numeric, categorical, boolean"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        table_config(tmp_path / "rows.csv", *overrides, target="y")
    assert message in str(error.value)


def test_rows_that_lack_something_are_left_out_where_that_is_set(tmp_path: Path) -> None:
    text = table(c=repeated(1, "", 3, 4), y=repeated("a", "b", "b", "a", ""))
    data = load(tmp_path / "rows.csv", text, "data.missing=drop", "data.missing_target=drop")
    assert len(data) == 24  # of 40, 8 have no target, and a quarter of the others no c
    assert not np.isnan(data.inputs).any()
    assert "left out, for they have no target: 8 rows of 40" in data.notes
    assert "left out, for an input is missing: 8 rows of 40" in data.notes
    told = refused(tmp_path / "rows.csv", table(c=repeated(1, "", 3)), "data.missing=error")
    assert "column 'c' is empty in 13 rows, the first is line 3 (data.missing=error)" in told
    told = refused(tmp_path / "rows.csv", table(c=repeated("")), "data.missing=drop")
    assert "no row is left" in told


def test_gaps_and_columns_that_say_nothing_are_told(tmp_path: Path) -> None:
    text = table(c=repeated(1, 2, ""), k=repeated("a", "b", "c", ""), same=repeated(5), none=repeated(""))
    notes = "\n".join(load(tmp_path / "rows.csv", text).notes)
    assert "column 'c' is empty in 13 rows (32.5%): the mean of the training rows stands in" in notes
    assert "column 'k' is empty in 10 rows (25.0%): no level stands in" in notes
    assert "the same value in every row: 'same'" in notes
    assert "column 'none' has no value in any row" in notes


def test_rows_that_are_trained_and_tested_on_are_told(tmp_path: Path) -> None:
    text = table(x=repeated(1, 2, 3, 4), split=["train"] * 20 + ["val"] * 10 + ["test"] * 10)
    notes = load(tmp_path / "rows.csv", text).notes
    assert "the same in all inputs as a training row: 10 of 10 val rows and 10 of 10 test rows" in notes


def test_edges_make_classes_of_a_number(tmp_path: Path) -> None:
    text = table(y=repeated(0, 1, 2, 3))
    data = load(tmp_path / "rows.csv", text, "data.target_bins=[0]")
    assert data.schema.classes == ("up to 0", "above 0")
    assert data.targets[:4].tolist() == [0, 1, 1, 1]
    named = load(tmp_path / "rows.csv", text, "data.target_bins=[0,2]", "data.classes=[none,mild,severe]")
    assert named.schema.classes == ("none", "mild", "severe")
    assert named.targets[:4].tolist() == [0, 1, 1, 2]
    told = refused(tmp_path / "rows.csv", text, "data.target_bins=[0]", "data.classes=[a,b,c]")
    assert "makes 2 classes, and data.classes names 3" in told
    assert "needs a target of numbers" in refused(tmp_path / "rows.csv", table(), "data.target_bins=[0]")


def test_a_number_may_be_the_target(tmp_path: Path) -> None:
    text = table(y=[f"{row / 7:.3f}" for row in range(ROWS)], copy=[f"{row / 7:.3f}" for row in range(ROWS)])
    with pytest.raises(DataError, match="column 'copy' says in every row what the target 'y' says"):
        load(tmp_path / "rows.csv", text, read_targets=read_numbers)
    data = load(tmp_path / "rows.csv", text, "data.drop=[copy]", read_targets=read_numbers)
    assert data.targets[1, 0] == np.float32(0.143)
    assert data.strata is not None
    assert data.strata.noun == "bin"


def test_patients_splits_and_sites_are_found_and_are_no_inputs(tmp_path: Path) -> None:
    text = table(
        Patient_ID=[f"{row // 2:03d}" for row in range(ROWS)],
        Split=["train"] * 20 + ["val"] * 10 + ["test"] * 10,
        hospital=repeated(1, 1, 2, 2),
    )
    data = load(tmp_path / "rows.csv", text, "data.columns.site=hospital")
    assert [one.name for one in data.schema.inputs] == ["x"]
    assert data.groups is not None
    assert data.groups.names[:2] == ("000", "001")
    assert data.columns["site"][:4].tolist() == ["1", "1", "2", "2"]
    assert [len(data.indices(side)) for side in ("train", "val", "test")] == [20, 10, 10]
    assert any("'Patient_ID' is read as patient_id" in note for note in data.notes)


def test_a_number_that_may_tell_patients_apart_is_told(tmp_path: Path) -> None:
    data = load(tmp_path / "rows.csv", table(case_no=[row // 2 for row in range(ROWS)]))
    told = "column 'case_no' has 20 values in 40 rows and is an input; data.columns.patient_id='case_no'"
    assert any(told in note for note in data.notes)


def test_every_change_of_a_value_changes_the_key_of_the_rows(tmp_path: Path) -> None:
    first = load(tmp_path / "rows.csv", table(c=repeated("a", "b")))
    same = load(tmp_path / "rows.csv", table(c=repeated("a", "b")))
    other = load(tmp_path / "rows.csv", table(c=repeated("a", "c")))
    assert first.fingerprint == same.fingerprint != other.fingerprint


def days(*texts: str) -> str:
    """A table with a row for each time."""
    rng = np.random.default_rng(0)
    rows = [f"{text},{rng.normal():.3f},{'ab'[row % 2]}" for row, text in enumerate(texts)]
    return "\n".join(["when,x,y", *rows])


DAYS = [f"2024-03-{day:02}T06:00:00" for day in range(1, 31)]
SPAN = ["data.columns.time=when", "data.start=2024-03-05T06:00:00", "data.end=2024-03-28"]


def test_rows_of_a_time_span_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    data = load(tmp_path / "rows.csv", days(*DAYS), *SPAN)
    assert len(data) == 23  # 5 to 27 March: the end is a midnight
    told = "data.start=2024-03-05T06:00:00 and data.end=2024-03-28: 7 rows of 30 (4 before it, 3 after it)"
    assert any(told in note for note in data.notes)
    whole = load(tmp_path / "rows.csv", days(*DAYS), "data.columns.time=when")
    np.testing.assert_array_equal(data.inputs, whole.inputs[4:27])
    assert not any("time span" in note for note in whole.notes)
    numbers = days(*map(str, range(30)))
    assert len(load(tmp_path / "rows.csv", numbers, "data.columns.time=when", "data.start=20")) == 10
    empty = days(*DAYS).replace(",a\n", ",\n", 1)  # outside the span, nobody misses its target
    assert len(load(tmp_path / "rows.csv", empty, *SPAN)) == 23


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.start=2025-01-01"],
            "no row is in the time span of data.start=2025-01-01: 30 before it, 0 after",
        ),
        (["data.end=soon"], "'data.end' has when 'soon', expected ISO 8601 or a number"),
        (["data.end=7"], "mixes numbers (such as in 'data.end') and times without a zone"),
        (["data.end='2024-03-09T00:00:00Z'"], "mixes times with a zone (such as in 'data.end')"),
    ],
)
def test_a_time_span_that_cannot_be_is_named(overrides: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path / "rows.csv", days(*DAYS), "data.columns.time=when", *overrides)
    with pytest.raises(ConfigError, match=r"need data\.columns\.time"):
        table_config(tmp_path / "rows.csv", *overrides, target="y")
