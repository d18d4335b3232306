"""``metadata.csv``: what is read, and everything that can be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.data.sources.metadata_csv import image_name, parse_metadata
from shared.data.sources.spelling import SIDE_WORDS
from shared.data.sources.table import PLAIN_COLUMNS, Annotations, Naming, annotate
from shared.runtime.errors import MetadataError
from shared.tasks.image_classification.data import read_classes
from tests.limits import LIMITS

COLUMNS = PLAIN_COLUMNS.model_copy(update={"patient_id": "patient_id", "site": "site"})


def read(text: str | bytes, classes: tuple[str, ...] | None = None, **renamed: Any) -> Annotations:
    content = text.encode() if isinstance(text, str) else text
    columns = COLUMNS.model_copy(update=renamed)
    table = parse_metadata(content, columns=columns, origin="metadata.csv", limits=LIMITS)
    return annotate(table, naming=Naming("metadata.csv", columns), classes=classes, read_targets=read_classes)


def test_all_columns_are_read() -> None:
    found = read(
        "filename,label,patient_id,split,site,age\n"
        "a.png,sick,p2,train,Rome,30\nb.png,well,p1,validation,Oslo,40\nc.png,well,p2,TEST,Rome,\n"
    )
    assert found.targets.strata.numbers.tolist() == [0, 1, 1]
    assert found.targets.strata.names == ("sick", "well")
    assert found.given is not None
    assert found.given.tolist() == ["train", "val", "test"]
    assert found.groups is not None
    assert found.groups.numbers.tolist() == [1, 0, 1]
    assert found.groups.names == ("p1", "p2")
    assert {name: values.tolist() for name, values in found.others.items()} == {
        "site": ["Rome", "Oslo", "Rome"],
        "age": ["30", "40", ""],
    }


@pytest.mark.parametrize("text", ["filename,label\na,x\nb,y", "filename,label,split,patient_id\na,x,,\nb,y,,"])
def test_optional_columns_may_be_absent_or_empty(text: str) -> None:
    found = read(text)
    assert found.groups is None
    assert found.given is None
    assert found.time is None


def test_columns_can_be_renamed_or_not_read() -> None:
    found = read("file,who,y,split,clinic\na,p,1,left,X\nb,p,0,right,Y", filename="file", label="y", split=None)
    assert found.targets.strata.names == ("0", "1")
    assert found.given is None
    assert set(found.others) == {"who", "split", "clinic"}
    renamed = read("filename,label,clinic\na,x,X\nb,y,Y", site="clinic")
    assert renamed.others["site"].tolist() == renamed.others["clinic"].tolist() == ["X", "Y"]


def test_classes_give_the_numbers() -> None:
    found = read("filename,label\na,x\nb,y", classes=("y", "z", "x"))
    assert found.targets.strata.names == ("y", "z", "x")
    assert found.targets.strata.numbers.tolist() == [2, 0]


def test_spreadsheets_are_forgiven_their_habits() -> None:
    found = read(b'\xef\xbb\xbffilename , label,\r\n"a,1.png", x,\r\nb.png,y,\r\n,,\r\n\r\n')
    assert found.targets.strata.names == ("x", "y")
    assert found.others == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("filename,label\n", "it has a header but no rows"),
        ("name class\na b", r"no column 'filename', only 'name class'"),
        (b"filename,label\na,x\nb,\xff\xfe\n", "line 3 is not UTF-8"),
        ('filename,label\na,"x"y\n', "line 2 is not CSV"),
        ("filename,label,label\na,x,x\nb,y,y", "column 'label' appears twice"),
        ("filename,label\na,x\nb,x", "at least two classes are needed, got 'x'; data"),
        ("filename,label\na,x\nb", "line 3 has 1 values, the header has 2"),
    ],
)
def test_what_is_wrong_with_the_file(text: str | bytes, problem: str) -> None:
    with pytest.raises(MetadataError, match=problem):
        read(text)


def test_everything_that_is_wrong_with_the_rows_is_listed() -> None:
    rows = [
        "ok.png,x,train,p",
        "two.png,,train,p",  # no label
        ",x,train,p",  # no filename
        "../up.png,x,train,p",
        "/abs.png,x,train,p",
        "C:/drive.png,x,train,p",
        "win\\dows.png,x,train,p",
        "images/ok.png,x,train,p",  # the first row's file again
        "./ok.png,y,test,p",  # and as another class
        "three.png,zebra,train,p",
        "four.png,zebra,train,p",
        "five.png,y,someday,p",
        "six.png,y,test,",
        "short.png,y",
    ]
    with pytest.raises(MetadataError) as caught:
        read("\n".join(["filename,label,split,patient_id", *rows]), classes=("x", "y"))
    listed = str(caught.value).splitlines()[1:]
    assert listed == [
        "  - line 15 has 2 values, the header has 4",
        "  - line 4 has no filename",
        "  - line 5: '../up.png' leads out of the folder (..)",
        "  - line 6: '/abs.png' is an absolute path",
        "  - line 7: 'C:/drive.png' begins with a drive letter",
        "  - line 8: 'win\\\\dows.png' has a backslash, write / between folders",
        "  - line 9: 'images/ok.png' appears already in line 2; remove one",
        "  - line 10: './ok.png' has the label 'y', and 'x' in line 2; remove the wrong one",
        "  - 'two.png' has no label",
        "  - label 'zebra' is none of 'x', 'y' (2 rows, the first is 'three.png')",
        f"  - split 'someday' is none of {', '.join(SIDE_WORDS)} (1 row, the first is 'five.png'); write one "
        "of these, or set data.columns.split=null to have a split drawn",
        "  - 'six.png' has no patient_id",
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lambda at: f"{at}.png", "values, the header has 4"),
        (lambda at: ",x,train,p", "has no filename"),
        (lambda at: f"../{at}.png,x,train,p", "leads out of the folder"),
        (lambda at: "ok.png,x,train,p", "appears already in line 2"),
        (lambda at: "ok.png,y,train,p", "has the label 'y', and 'x' in line 2"),
        (lambda at: f"{at}.png,,train,p", "has no label"),
        (lambda at: f"{at}.png,label{at},train,p", "is none of 'x', 'y'"),
        (lambda at: f"{at}.png,x,side{at},p", "is none of train"),
        (lambda at: f"{at}.png,x,train,", "has no patient_id"),
    ],
)
def test_a_problem_of_many_rows_leaves_room_for_others(row: Callable[[int], str], said: str) -> None:
    rows = ["ok.png,x,train,p", "odd.png,q,train,p", *map(row, range(500))]
    with pytest.raises(MetadataError) as caught:
        read("\n".join(["filename,label,split,patient_id", *rows]), classes=("x", "y"))
    listed = str(caught.value).splitlines()[1:]
    assert len(listed) <= 12
    assert sum(said in line for line in listed) in (10, 11)  # of labels, the odd one too
    more = {f"  - ... and {count} more of this kind" for count in (490, 491)}
    assert len(more & {*listed}) == 1
    assert any("label 'q' is none of" in line for line in listed)


def test_classes_are_named_once() -> None:
    with pytest.raises(MetadataError, match="names a class twice"):
        read("filename,label\na,x\nb,y", classes=("x", "y", "x"))


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "./a.png", "images//a.png"])
def test_images_lie_below_images(name: str) -> None:
    assert image_name(name) == "images/a.png"


def test_a_label_column_that_went_missing_is_named(data_config: Callable[..., Any]) -> None:
    table = parse_metadata(b"filename,label\na,x\nb,y", columns=COLUMNS, origin="metadata.csv", limits=LIMITS)
    columns = COLUMNS.model_copy(update={"label": "finding"})
    with pytest.raises(MetadataError, match="no column 'finding', only 'filename', 'label'"):
        annotate(table, naming=Naming("metadata.csv", columns), classes=None, read_targets=read_classes)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_named(separator: str) -> None:
    content = f"filename{separator}label\n1.png{separator}a\n".encode()
    with pytest.raises(MetadataError, match="separated by") as caught:
        parse_metadata(content, columns=PLAIN_COLUMNS, origin="metadata.csv", limits=LIMITS)
    assert repr(separator) in str(caught.value)


@pytest.mark.parametrize(("rows", "listed"), [(1, 1), (10, 10), (40, 11)])
def test_names_refused_for_one_reason_are_counted(rows: int, listed: int) -> None:
    lines = [f"/data/{row}.png,{'ab'[row % 2]}" for row in range(rows)]
    table = parse_metadata(
        "\n".join(["filename,label", *lines]).encode(), columns=COLUMNS, origin="metadata.csv", limits=LIMITS
    )
    assert len(table.problems) == listed
    assert table.problems[0].startswith("line 2: '/data/0.png'")
    assert ("30 more" in table.problems[-1]) == (rows == 40)
