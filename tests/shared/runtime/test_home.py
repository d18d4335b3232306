"""The home folder: where it is, and the error when it cannot be created."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shared.runtime.errors import ConfigError
from shared.runtime.home import SHARED, open_home


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


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_enter_a_new_home_whatever_the_umask(place: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_home()
    finally:
        os.umask(before)
    assert mode_of(place) == 0o700


def test_a_shared_home_is_as_open_as_the_umask_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, "1")
    before = os.umask(0o007)
    try:
        open_home()
    finally:
        os.umask(before)
    assert mode_of(place) == 0o770
    monkeypatch.setenv(SHARED, "yes")
    with pytest.raises(ConfigError, match=r"FEDTWIN_SHARED_HOME is 1 .* got 'yes'"):
        open_home()


def test_a_home_that_others_can_enter_is_told_of_once(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir()
    place.chmod(0o755)
    open_home()
    assert f"chmod -R go-rwx {place}" in capsys.readouterr().err
    open_home()
    assert capsys.readouterr().err == ""
    assert mode_of(place) == 0o755  # whoever made it may have meant it


@pytest.mark.skipif(os.getuid() != 0, reason="root is needed to be another user")
def test_a_home_of_another_user_is_an_error_with_its_owner_and_an_open_one_is_no_warning(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_home()

    def as_nobody() -> None:
        os.seteuid(65534)
        try:
            open_home()
        finally:
            os.seteuid(0)

    for folder in (place, *place.parents):
        if folder.stat().st_uid == 0 and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with pytest.raises(
        ConfigError, match=r"home belongs to root and is closed to others \(mode 711\); set FEDTW"
    ):
        as_nobody()
    place.chmod(0o755)
    capsys.readouterr()
    as_nobody()
    assert capsys.readouterr().err == ""
