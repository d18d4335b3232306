"""What a table says in an unusual way: folders as splits, spellings, missing values, further columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.data import ColumnsConfig
from shared.data.images.dataset import read_rows
from shared.data.sources.doubts import doubtful_classes, doubtful_numbers
from shared.data.sources.metadata_csv import parse_metadata
from shared.data.sources.patient_names import patients_in_names
from shared.data.sources.spelling import find_alike
from shared.data.sources.table import Annotations, Naming, annotate
from shared.data.text_key import text_key
from shared.runtime.errors import MetadataError
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_multilabel.data import read_labels
from shared.tasks.image_regression.data import read_numbers
from tests.limits import LIMITS

DEFAULTS = {name: name for name in ("filename", "label", "patient_id", "split", "site")}


def read(
    text: str, classes: tuple[str, ...] | None = None, reader: Any = read_classes, **own: Any
) -> Annotations:
    named = ColumnsConfig(**(DEFAULTS | {"time": None, "series": None} | own))
    table = parse_metadata(text.encode(), columns=named, origin="metadata.csv", limits=LIMITS)
    return annotate(table, naming=Naming("metadata.csv", named), classes=classes, read_targets=reader)


def with_column(name: str, *values: str) -> Annotations:
    rows = [f"{row}.png,{'ab'[row % 2]},{value}" for row, value in enumerate(values)]
    return read("\n".join([f"filename,label,{name}", *rows]))


def labelled(*labels: str) -> str:
    return "\n".join(["filename,label", *(f'{row}.png,"{label}"' for row, label in enumerate(labels))])


def test_the_split_of_folders_in_the_file_names() -> None:
    text = "filename,label\ntrain/1.png,a\nimages/train/2.png,b\nTest_Set/x/3.png,a\nvalid/4.png,b"
    found = read(text)
    assert found.given is not None
    assert found.given.tolist() == ["train", "train", "test", "val"]
    assert any("Test_Set, train, valid" in note for note in found.notes)
    assert not any("the split is drawn" in note for note in found.notes)
    assert read(text, split=None).given is None


def test_a_split_column_goes_before_folders() -> None:
    found = read("filename,label,split\ntrain/1.png,a,test\ntest/2.png,b,train")
    assert found.given is not None
    assert found.given.tolist() == ["test", "train"]


def test_files_of_which_some_lie_in_folders_of_a_split() -> None:
    text = "filename,label\ntrain/1.png,a\ntest/2.png,b\nmore/3.png,a"
    with pytest.raises(MetadataError, match=r"2 of 3 file names .*\(test, train\).*'more/3\.png'.*split=null"):
        read(text)
    assert read(text, split=None).given is None


def test_files_that_all_lie_on_one_side_have_no_split() -> None:
    assert read("filename,label\ntrain/1.png,a\ntrain/2.png,b").given is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("P1/1.png", "P1/2.png", "P2/1.png", "P2/2.png"), True),
        (("1/1.png", "2/1.png", "3/1.png", "4/1.png"), False),  # one file each
        (("A/1.png", "B/1.png", "a/2.png", "b/2.png"), False),  # the classes
        (("x/1.png", "x/2.png", "x/3.png", "x/4.png"), False),
        (("1.png", "x/2.png", "x/3.png", "4.png"), False),
    ],
)
def test_folders_that_may_be_patients(names: tuple[str, ...], said: bool) -> None:
    text = "\n".join(["filename,label", *(f"{name},{'ab'[row % 2]}" for row, name in enumerate(names))])
    assert any("if each is a patient" in note for note in read(text).notes) == said
    assert not any("if each is a patient" in note for note in read(text, patient_id=None).notes)


@pytest.mark.parametrize(
    "same",
    [
        ("P-001", "P001", "p 1", "P_01"),
        ("covid-19", "COVID 19", "covid19"),
        ("Grade 2", "Grade2"),
        ("benign", "benign\u200b", '"benign"', "'benign'", "benign."),
        ("1.5", "01.50", "1.5 "),
        ("1-2", "1_2", "1 2"),
        ("cat", "c\u0430t"),  # its a is Cyrillic
        ("007", "7", "7.0"),
    ],
)
def test_spellings_of_one_value(same: tuple[str, ...]) -> None:
    assert len({text_key(text) for text in same}) == 1


def test_values_that_are_not_one() -> None:
    apart = [
        "HER2+",
        "HER2-",
        "HER2",
        "<5",
        ">5",
        "5",
        "5%",
        "1-2",
        "12",
        "1.5",
        "15",
        "-1",
        "1",
        "?",
        "-",
        "!",
    ]
    apart += ["\u0440\u0430\u043a", "\u043d\u043e\u0440\u043c\u0430", "\u03bd\u03cc\u03c3\u03bf\u03c2"]
    apart += ["stage I/II", "stage III", "edema", "edema + mass", "a1 10", "a11 0", "grade 1.05", "grade 1.5"]
    assert find_alike(apart) == ""


def test_sites_are_written_in_one_way() -> None:
    text = "filename,label,site\n1,x,A\n2,y,a\n3,x,b.\n4,y,b"
    with pytest.raises(
        MetadataError, match=r"values of site .*'A' and 'a', 'b' and 'b\.'; .*columns\.site=null"
    ):
        read(text)
    assert read(text, site=None).others["site"].tolist() == ["A", "a", "b.", "b"]


@pytest.mark.parametrize("name", ["dataset", "Set", "partition", "usage"])
def test_splits_in_columns_of_other_names(name: str) -> None:
    found = with_column(name, "TRN", "train", "TST", "val")
    assert found.given is not None
    assert found.given.tolist() == ["train", "train", "test", "val"]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("dataset", ("train", "test", "val", "unused"), True),
        ("Usage", ("Training", "PublicTest", "PrivateTest", "PublicTest"), True),
        ("is_test", ("0", "1", "0", "0"), True),
        ("train", ("True", "False", "True", "True"), True),
        ("fold", ("0", "1", "2", "3"), False),
        ("sex", ("0", "1", "0", "1"), False),
        ("note", ("train", "bus", "car", "car"), False),
    ],
)
def test_columns_that_look_like_a_split_are_named(name: str, values: tuple[str, ...], said: bool) -> None:
    found = with_column(name, *values)
    assert found.given is None
    assert any(f"column {name!r} looks like a split" in note for note in found.notes) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [("lesion_id", True), ("case", True), ("StudyID", True), ("age", False), ("site_id", False)],
)
def test_columns_that_may_be_patients_are_named(name: str, said: bool) -> None:
    hint = f"data.columns.patient_id='{name}'"
    assert any(hint in note for note in with_column(name, "1", "1", "2", "2").notes) == said
    assert not any(hint in note for note in with_column(name, "1", "2", "3", "4").notes)


def test_patients_of_one_row_each_beside_subjects() -> None:
    found = read("filename,label,patient_id,subject\n1,a,1,s\n2,b,2,s\n3,a,3,t\n4,b,4,t")
    assert any("every row has another patient_id" in note for note in found.notes)
    assert any("data.columns.patient_id='subject'" in note for note in found.notes)
    once = read("filename,label,patient_id,subject\n1,a,1,s\n2,b,1,s\n3,a,3,t\n4,b,4,t")
    assert not any("columns.patient_id" in note or "every row" in note for note in once.notes)


@pytest.mark.parametrize("word", ["?", "-", "n.a.", "missing", "Unlabeled", "TBD"])
def test_words_for_a_missing_label_are_refused(word: str) -> None:
    with pytest.raises(MetadataError, match="stands for a missing value"):
        read(labelled("a", "b", word))
    assert word in read(labelled("a", "b", word), classes=("a", "b", word)).targets.schema.classes


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "b", "unknown"), ["'unknown'"]),
        (("a", "b", "None"), ["'None'"]),
        (("a", "b", "999"), ["'999'"]),
        (("0", "1", "-9"), ["'-9'"]),
        (("0", "1", "-1"), ["'-1'"]),
        (("-1", "1"), []),
        (tuple(map(str, range(10))), []),
        (("a", "b"), []),
        (("yes", "Y", "no", "N"), ["'Y', 'yes'", "'N', 'no'"]),
        (("True", "1", "False", "0"), ["'1', 'True'", "'0', 'False'"]),
        (("0", "1"), []),
        (("0.0", "0.5", "0.9"), ["fractions"]),
        (("1.0", "2.0"), []),
    ],
)
def test_classes_that_may_be_none_or_the_same(names: tuple[str, ...], said: list[str]) -> None:
    notes = doubtful_classes(names)
    assert len(notes) == len(said)
    assert all(text in note for text, note in zip(said, notes, strict=True))
    assert list(read(labelled(*names), classes=names).targets.notes) == []


@pytest.mark.parametrize(
    ("rare", "common", "said"),
    [
        ("pnuemonia", "pneumonia", True),
        ("pneumona", "pneumonia", True),
        ("pneumoniae", "pneumonia", True),
        ("Pneumonla", "pneumonia", True),
        ("stage1", "stage2", False),
        ("stage10", "stage1", False),
        ("cats", "cat", False),
        ("hypothyroid", "hyperthyroid", False),
        ("left lung", "right lung", False),
    ],
)
def test_rare_labels_that_may_be_mistyped(rare: str, common: str, said: bool) -> None:
    notes = read(labelled(*[common] * 20, *[rare] * 3, "other")).targets.notes
    assert any(f"{rare!r} may be {common!r} mistyped" in note for note in notes) == said
    assert not any("mistyped" in note for note in read(labelled(*[common, rare] * 9)).targets.notes)


def test_labels_that_all_say_that_nothing_was_found() -> None:
    (note,) = read(labelled("normal", "Healthy", "tumor")).targets.notes
    assert "'Healthy', 'normal'" in note
    assert read(labelled("benign", "normal", "malignant")).targets.notes == ()


def test_ids_that_a_spreadsheet_shortened_are_refused() -> None:
    with pytest.raises(MetadataError, match=r"1 value of patient_id such as '1\.23E\+11' .* as text"):
        with_column("patient_id", "1.23E+11", "1.23E+11", "7", "8")
    for plain in ("1E5", "e10", "1.23E+1x", "P1E+11"):
        with_column("patient_id", plain, plain, "7", "8")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("p{patient:03d}_v{view}", True),
        ("{patient}-{view}", True),
        ("S{patient}/L{view}", True),
        ("site{view}-{patient:04d}", False),  # sites, and a number within each
        ("p{patient}", False),
        ("2024-{view:02d}-{patient:03d}", False),
    ],
)
def test_ids_that_may_be_visits_are_said(form: str, said: bool) -> None:
    ids = [form.format(patient=patient, view=view) for patient in range(20) for view in range(3)]
    notes = with_column("patient_id", *ids).notes
    assert any("differ in their ends alone" in note for note in notes) == said


@pytest.mark.parametrize("nobody", ["unknown", "-1", "None"])
def test_rows_of_nobody_known_are_not_one_patient(nobody: str) -> None:
    ids = ["1", "2", nobody, "3", nobody, "4"]
    rows = [f"{row}.png,{'ab'[row % 2]},{known}" for row, known in enumerate(ids)]
    with pytest.raises(MetadataError, match=f"{nobody!r} of 2 rows stands for nobody known"):
        read("\n".join(["filename,label,patient_id", *rows]))


def test_labels_that_are_sides_and_folders_that_are_folds() -> None:
    assert any("words for sides" in note for note in read(labelled("train", "test")).targets.notes)
    names = [f"fold{row % 3}/{row}.png,{'ab'[row % 2]}" for row in range(9)]
    notes = read("\n".join(["filename,label", *names])).notes
    assert any("called as folds" in note for note in notes)


def test_no_finding_may_be_called_none() -> None:
    found = read(
        labelled("a|b", "None", "a"),
        reader=lambda column, bad: read_labels(column, bad, separator="|", none="None"),
    )
    assert found.targets.schema.classes == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a|b", "Normal", "a", "Normal"], ["Normal"]),
        (["a|b", "Normal", "a", "No Finding"], ["Normal"]),
        (["a", "b", "ohne Befund", "No Finding"], ["ohne Befund"]),  # where no two stand together, by the word
        (["a|b", "Normal|b"], []),
        (["a|b"] * 10 + ["c"] * 40, ["c"]),  # whatever it is called: not by chance
        (["a|b"] * 10 + ["c"] * 5, []),
        (["a", "b", "c", "No Finding"] * 20, []),
    ],
)
def test_labels_that_may_stand_for_no_finding(labels: list[str], said: list[str]) -> None:
    reader = partial(read_labels, separator="|", none="No Finding")
    notes = read(labelled(*labels), reader=reader).targets.notes
    assert [note.split("'")[1] for note in notes] == said
    assert all(f"set task.none='{name}'" in note for name, note in zip(said, notes, strict=True))
    for name in said:
        found = read(labelled(*labels), reader=partial(reader, none=name))
        assert name not in found.targets.schema.classes
    known = tuple(sorted({part for label in labels for part in label.split("|")} - {"No Finding"}))
    assert not read(labelled(*labels), classes=known, reader=reader).targets.notes


def test_labels_that_exclude_each_other_may_be_classes() -> None:
    reader = partial(read_labels, separator="|", none="No Finding")
    (said,) = read(labelled(*["x", "y", "z"] * 9), reader=reader).targets.notes
    assert "task=image_classification" in said
    assert not read(labelled(*["x", "y", "No Finding"] * 9), reader=reader).targets.notes


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["patient001_1.png", "patient001_2.png", "patient2_1.png"], 2),
        (["a/person88_virus_161.jpeg", "b/person88_virus_163.jpeg", "a/person9_x.jpeg"], 2),
        (["sub-01_T1.png", "sub-01_T2.png", "sub-02_T1.png"], 2),
        (["Case_7-a.png", "case_7-b.png", "Case_8.png"], 2),
        (["patient1.png", "patient2.png", "patient3.png"], 0),  # one image each
        (["img1_1.png", "img1_2.png", "img2_1.png"], 0),
        (["patient1_a.png", "patient1_b.png", "x.png", "y.png", "z.png"], 0),
    ],
)
def test_names_that_may_hold_patients_are_said(names: list[str], patients: int) -> None:
    said = patients_in_names(names, ["train", "test", "train", "train", "train"][: len(names)])
    assert [f"{patients} patients, 1 of them on two sides" in note for note in said] == [True] * bool(patients)


@pytest.mark.parametrize(
    ("reader", "wrong", "said"),
    [
        (partial(read_labels, separator="|", none="none"), "a||b", "has an empty label"),
        (partial(read_labels, separator="|", none="none"), "a|none", "has 'none' beside other labels"),
        (read_numbers, "tall", "expected a finite number"),
        (read_classes, "", "has no label"),
    ],
)
def test_a_label_that_is_wrong_in_many_rows_is_counted(reader: Any, wrong: str, said: str) -> None:
    with pytest.raises(MetadataError) as caught:
        read(labelled("a", "b", *[wrong] * 300), reader=reader)
    listed = str(caught.value).splitlines()
    assert sum(said in line for line in listed) == 10
    assert any(line.startswith("  - ... and 29") for line in listed)


@pytest.mark.parametrize("separator", [",", ";", "/", "+"])
def test_labels_that_are_joined_otherwise_than_is_set(separator: str) -> None:
    texts = ("Mass", f"Mass{separator} Effusion", "No Finding", "Effusion")
    reader = partial(read_labels, separator="|", none="No Finding")
    with pytest.raises(MetadataError, match=rf"task\.separator='{re.escape(separator)}'"):
        read(labelled(*texts), reader=reader)
    found = read(labelled(*texts), reader=partial(reader, separator=separator))
    assert found.targets.schema.classes == ("Effusion", "Mass")
    assert read(labelled("T1/2", "T3", "T1/2"), reader=reader).targets.schema.classes == ("T1/2", "T3")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10,5", "decimal point"),
        ("1_000", "no other marks"),
        ("1 000", "no other marks"),
        ("10 mm", "write 10, and the unit in the name of the column"),
        ("12%", "write 12 without %"),
        ("<5", "a bound is no number"),
        (">= 70", "a bound is no number"),
        ("tall", "32 bits"),
        ("", "32 bits"),
    ],
)
def test_what_is_nearly_a_number(text: str, hint: str) -> None:
    with pytest.raises(MetadataError, match=f"{re.escape(repr(text))}, expected a finite number.*{hint}"):
        read(labelled("1", "2.5", text), reader=read_numbers)


def test_numbers_that_may_be_missing() -> None:
    ages = [*range(20, 90), 91]
    assert "3 rows have age -9999" in doubtful_numbers([*ages, -9999, -9999, -9999], "age")[0]
    assert "2 rows have age 999" in doubtful_numbers([*ages, 999, 999], "age")[0]
    assert len(doubtful_numbers([*ages, -1, -1], "age")) == 1
    for plain in ([*ages, 999], [*ages, 99, 99, 98, 97, 95], [-1, -1, 0.5, -0.5], [*np.arange(-3, 3), -1], []):
        assert doubtful_numbers(plain, "age") == []
    assert len(read(labelled("1.5", "2.5", "3", "-99", "-99"), reader=read_numbers).targets.notes) == 1


def test_two_columns_of_one_name_that_differ() -> None:
    text = "filename,label,Label\n1,a,x\n2,b,y"
    with pytest.raises(
        MetadataError, match=r"'label', 'Label' may each be the label.*data\.columns\.label='Label'"
    ):
        read(text)
    assert read(text, label="Label").targets.schema.classes == ("x", "y")
    assert read("filename,label,Label\n1,a,a\n2,b,b").targets.schema.classes == ("a", "b")


@pytest.mark.parametrize("packed", [False, True])
def test_what_lies_beside_the_table_is_counted(
    packed: bool,
    dataset: Any,
    make_folder: Callable[..., Path],
    make_zip: Callable[..., Path],
    data_config: Any,
) -> None:
    top = "set/" if packed else ""
    more = {"images/sick/x.png": b"", "images/readme.txt": b"", "test.csv": b"filename,label\n1.png,sick"}
    files = {top + name: content for name, content in (dataset(12) | more).items()}
    place = make_zip(files) if packed else make_folder(files)
    config = data_config("zip" if packed else "folder", place)
    notes = read_rows(config, cache_dir=place.parent / "cache", read_targets=read_classes).notes
    assert any(
        note.startswith("ignored, not in the table: 1 image") and "images/sick/x.png" in note for note in notes
    )
    assert any("'test.csv'" in note for note in notes)
