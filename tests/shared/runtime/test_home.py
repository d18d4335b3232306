"""The home folder: where it is, and the error when it cannot be created."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.runtime.errors import ConfigError
from shared.runtime.home import open_home


def test_it_is_made_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path / "a" / "b"))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    home = open_home()
    assert home.root.is_dir()
    assert home.database_url == f"sqlite:///{tmp_path}/a/b/fedtwin.db"


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ConfigError, match=r"cannot create the home folder .*/file/home: .*; set FEDTWIN_HOME"):
        open_home()
