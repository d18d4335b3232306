"""Paths and names as they are typed, whatever Hydra's grammar makes of their letters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from shared.config.compose import compose
from shared.config.overrides import quote_texts, value_of

ODD = [
    "my folder",
    "a,b",
    "x=1",
    "scan (1)",
    "[new]",
    "{old}",
    "Müller Röntgen",
    "it's",
    'the "best"',
    "007",
    "1e3",
    "true",
    "50%",
    "a:b",
    "#1",
    "back\\slash",
    "ends\\",
    'both\\"',
    "'quoted'",
    "a  b",
    "日本",
    "$HOME",
    "${x}",
    "-dash",
    "null",
    "~tilde",
]


@pytest.mark.parametrize("name", ODD)
def test_a_path_is_read_as_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for typed in (str(tmp_path / name), f"./{name}", name):
        (override,) = quote_texts([f"data.path={typed}"])
        assert value_of([override], "data.path") == typed
        (read,) = OverridesParser.create().parse_overrides([override])
        assert str(read.value()).replace("\\${", "${") == typed
        assert quote_texts([override]) == [override]


def test_a_configuration_has_the_path_as_typed(tmp_path: Path) -> None:
    folder = tmp_path / "".join(sorted(" ".join(ODD).replace("/", "")))
    folder.mkdir()
    assert compose(["data=folder", f"data.path={folder}"]).images.path == str(folder)


def test_what_is_meant_for_hydra_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = [
        "data.path='a b'",
        "data.path=null",
        "data.path=${oc.env:HOME}",
        "seed=[1,2]",
        "--cfg",
        "job",
        "data=zip",
    ]
    assert quote_texts(kept) == kept
    assert quote_texts(["data.path=a,b"], sweep=True) == ["data.path=a,b"]
    Path("a,b").mkdir()
    assert quote_texts(["data.path=a,b"], sweep=True) == ['data.path="a,b"']


def test_names_of_columns_and_classes_are_texts() -> None:
    cfg = compose(["data=zip", "data.path=x", "data.columns.label=Age (years), at=scan"])
    assert cfg.images.columns.label == "Age (years), at=scan"
