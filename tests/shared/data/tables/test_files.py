"""CSV and Parquet files: what is read, in whichever form it was written, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.data.tables.files import open_table
from shared.data.tables.load import load_table
from shared.runtime.errors import DataError
from shared.tasks.image_classification.data import read_classes
from tests.shared.data.tables.table_kit import read_rows, table_config

FRAME = pd.DataFrame({"age": [63.0, 41.0, np.nan], "sex": ["m", "f", "m"], "num": [1.5, -2.0, 1e6]})


def _written(path: Path, how: str) -> Path:
    if how == "parquet":
        FRAME.to_parquet(path)
    elif how == "gz":
        path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    else:
        FRAME.to_csv(path, index=False, sep={"tab": "\t"}.get(how, how), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("how", [",", ";", "tab", "|", "gz", "parquet"])
def test_a_table_is_read_alike_in_every_form(how: str, tmp_path: Path) -> None:
    names, columns, rows = read_rows(table_config(_written(tmp_path / "rows", how), target="num"))
    assert names == ["age", "sex", "num"]
    np.testing.assert_array_equal(columns[0].numbers, FRAME["age"])
    assert columns[1].texts == ["m", "f", "m"]
    np.testing.assert_array_equal(columns[2].numbers, FRAME["num"])
    assert rows.tolist() == ([1, 2, 3] if how == "parquet" else [2, 3, 4])


@pytest.mark.parametrize("first", ["sep=;\n", "\ufeffsep=;\r\n", '"SEP=;"\n'], ids=["plain", "mark", "quoted"])
def test_the_separator_that_a_spreadsheet_names_is_taken(first: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(f"{first}age,in years;num\n63;1\n41;2\n".encode())
    cfg = table_config(tmp_path / "rows.csv", target="num")
    names, columns, rows = read_rows(cfg)
    assert names == ["age,in years", "num"]
    assert (columns[0].numbers.tolist(), rows.tolist()) == ([63, 41], [3, 4])
    assert open_table(cfg, texts=lambda name: False).notes == ["line 1 says that columns are separated by ';'"]


def test_numbers_of_parquet_are_texts_where_these_are_wanted(tmp_path: Path) -> None:
    pd.DataFrame({"patient": [7, 8], "x": [1, 2]}).to_parquet(tmp_path / "rows.parquet")
    cfg = table_config(tmp_path / "rows.parquet", target="x")
    file = open_table(cfg, texts=lambda name: name == "patient")
    (block,) = file.blocks
    assert block.columns[0] == ["7", "8"]
    assert block.columns[1].tolist() == [1.0, 2.0]


def test_rows_come_in_blocks_whose_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"two\nlines"\n\n' + "".join(f"{row},x\n" for row in range(45_000)))
    _, columns, rows = read_rows(table_config(path, target="a"))
    assert len(rows) == 45_001
    assert rows[:3].tolist() == [3, 5, 6]
    assert columns[0].numbers[1:].tolist() == list(range(45_000))


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "no rows": (b"a,b\n", "it has a header but no rows"),
    "no names": (b"63,1\n41,0\n", "its first line holds numbers (63, 1), the names of columns are expected"),
    "twice": (b"a,b,a\n1,2,3\n", "column 'a' appears twice"),
    "uneven": (b"a,b\n1,2\n1\n1,2,3\n", "line 3 has 1 values, the header has 2\n  - line 4 has 3 values"),
    "latin": ("a,b\n1,\n2,Müller\n".encode("latin-1"), "line 3 is not UTF-8"),
    "zip": (b"PK\x03\x04....", "it is a ZIP or a spreadsheet; save it as CSV"),
    "gzip": (b"\x1f\x8b\x08\x00broken", "it cannot be unpacked"),
    "parquet": (b"PAR1 but no more", "it is no Parquet that can be read"),
    "quotes": (b'a,b\n1,"2" 3\n', "line 2 is not CSV"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be used") as error:
        read_rows(table_config(path, target="a"))
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_many_uneven_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1\n" * 30_000)
    with pytest.raises(DataError, match="29990 more lines have not 2 values"):
        read_rows(table_config(path, target="a"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.max_rows=2", "it has more than 2 rows, data.max_rows=2 are allowed"),
        ("data.max_columns=1", "data.max_columns=1 are allowed"),
        ("data.max_table_bytes=10", "data.max_table_bytes=10 are allowed"),
    ],
)
@pytest.mark.parametrize("how", [",", "gz", "parquet"])
def test_a_table_beyond_a_limit_is_refused(setting: str, message: str, how: str, tmp_path: Path) -> None:
    path = _written(tmp_path / "rows", how)
    with pytest.raises(DataError) as error:
        read_rows(table_config(path, setting, target="num"))
    assert message.partition(",")[2] in str(error.value) if "rows" in message else message in str(error.value)


def test_a_gzip_that_expands_beyond_the_limit_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"1\n" * 5_000_000))
    with pytest.raises(DataError, match="unpacked it has more than 100000 bytes"):
        read_rows(table_config(path, "data.max_table_bytes=100000", target="a"))


def test_a_folder_of_tables_is_one_table_that_names_the_file_of_each_row(tmp_path: Path) -> None:
    (tmp_path / "valve").mkdir()
    (tmp_path / "valve" / "2.csv").write_text("time;flow;leak\n2020-01-01;1.5;no\n2020-01-02;2.5;yes\n")
    (tmp_path / "1.CSV").write_text("time;flow;leak\n2020-01-03;3.5;no\n2020-01-04;9.5;yes\n")
    (tmp_path / "notes.txt").write_text("no table")
    names, columns, rows = read_rows(table_config(tmp_path, target="leak"))
    assert names == ["time", "flow", "leak", "file"]
    assert columns[1].numbers.tolist() == [3.5, 9.5, 1.5, 2.5]
    assert [*columns[3].levels] == ["1", "valve/2"]
    assert rows.tolist() == [1, 2, 3, 4]
    for file in (tmp_path / "1.CSV", tmp_path / "valve" / "2.csv"):  # enough times for every side
        file.write_text(file.read_text() + "2020-02-01;4.5;no\n2020-02-02;5.5;yes\n")
    settings = ["data.columns.time=time", "data.columns.series=file", "data.columns.site=file"]
    data = load_table(
        table_config(tmp_path, *settings, "data.split_by=time", "data.val_fraction=0.25", target="leak"),
        read_targets=read_classes,
        sides=("test",),
    )
    assert [column.name for column in data.schema.inputs] == ["flow"]
    assert data.time is not None
    assert data.time.names == ("1", "valve/2")
    assert data.columns["site"].tolist() == ["1"] * 4 + ["valve/2"] * 4
    assert any(
        "2 files, read in the order of their names: '1.CSV', 'valve/2.csv'" in note for note in data.notes
    )


def test_files_of_a_folder_that_differ_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no CSV or Parquet file"):
        read_rows(table_config(tmp_path, target="a"))
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    (tmp_path / "c.csv").write_text("y,x\n1,2\n")
    with pytest.raises(DataError) as error:
        read_rows(table_config(tmp_path, target="y"))
    assert "b.csv has not the columns of a.csv: it lacks 'y', and it has also 'z'" in str(error.value)
    assert "c.csv has not the columns of a.csv: they come in another order" in str(error.value)
    for path in tmp_path.iterdir():
        path.write_text("x,file\n1,2\n")
    with pytest.raises(DataError, match=r"have a column 'file', and data\.columns\.file"):
        read_rows(table_config(tmp_path, target="x"))
    assert read_rows(table_config(tmp_path, "data.columns.file=null", target="x"))[0] == ["x", "file"]
    with pytest.raises(DataError, match=r"its files have 3 rows or more.*max_rows"):
        read_rows(table_config(tmp_path, "data.columns.file=null", "data.max_rows=2", target="x"))


def test_columns_without_a_name_are_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(",a,\n0,1,2\n")
    file = open_table(table_config(path, target="a"), texts=lambda name: False)
    assert file.names == ["a"]
    assert file.notes == ["columns 1, 3 have no name and are not read"]


def test_the_index_of_pandas_is_not_read(tmp_path: Path) -> None:
    frame = FRAME.set_index(pd.Index([7, 3, 5]))
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.reset_index(names="Unnamed: 0").to_csv(tmp_path / "rows.csv", index=False)
    for name in ("rows.parquet", "rows.csv"):
        file = open_table(table_config(tmp_path / name, target="num"), texts=lambda name: False)
        assert file.names == ["age", "sex", "num"]
        assert file.notes[0].startswith("the numbers that pandas gave the rows are not read")


def test_a_small_parquet_of_long_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    for length in (131_072, 131_073):
        texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(40_000, np.int32)), pa.array(["A" * length]))
        pq.write_table(pa.table({"x": texts}), path, compression="zstd")  # 5 GB, if each row had its own text
        assert path.stat().st_size < 10_000
        if length == 131_072:
            _, (column,), rows = read_rows(table_config(path, target="x"))
            assert (len(rows), len(column.levels)) == (40_000, 1)
    with pytest.raises(DataError, match="column 'x' has a text of 131073 characters; at most 131072 are read"):
        read_rows(table_config(path, target="x"))
