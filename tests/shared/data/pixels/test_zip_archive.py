"""Refusals of hostile and damaged ZIPs."""

from __future__ import annotations

import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.data.pixels.zip_archive import (
    check_archive,
    check_count,
    is_junk,
    list_folders,
    normal_name,
    read_entry,
    unsafe_reason,
)
from shared.runtime.errors import ArchiveError
from tests.limits import LIMITS

pytestmark = pytest.mark.attack


def _flip(path: Path, *, local: int, central: int, value: bytes) -> None:
    """Overwrite a field of the first entry, in its local header and in the central directory."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = content.index(signature) + offset
        content[start : start + len(value)] = value
    path.write_bytes(content)


def test_lists_files_by_normal_name_without_folders_and_junk(make_zip: Callable[..., Path]) -> None:
    junk = ("__MACOSX/images/._a.png", "images/.DS_Store", "images/Thumbs.db")
    path = make_zip(dict.fromkeys(("metadata.csv", "images/", "./images//a.png", *junk), b""))
    assert check_archive(path, limits=LIMITS) == {
        "metadata.csv": "metadata.csv",
        "images/a.png": "./images//a.png",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.png", "leads out of the folder"),
        ("images/../../a.png", "leads out of the folder"),
        ("/etc/a.png", "is an absolute path"),
        ("C:/a.png", "begins with a drive letter"),
        ("images\\a.png", "has a backslash"),
    ],
)
def test_refuses_names_that_lead_out(make_zip: Callable[..., Path], name: str, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason) as caught:
        check_archive(make_zip({name: b"x"}), limits=LIMITS)
    assert repr(name) in str(caught.value)


def test_lists_folders_of_names_that_lead_out_too(make_zip: Callable[..., Path]) -> None:
    path = make_zip({"/etc/cron.d/x": b"", "//host/y": b"", "a/b/c": b"", "d/": b""})
    assert {"/etc/cron.d", "/etc", "a/b", "a", "d"} <= set(list_folders(path))


def test_refuses_a_nul_in_a_name(make_zip: Callable[..., Path]) -> None:
    path = make_zip({"aZb.png": b"x"})
    path.write_bytes(path.read_bytes().replace(b"aZb.png", b"a\0b.png"))
    with pytest.raises(ArchiveError, match="NUL"):
        check_archive(path, limits=LIMITS)


@pytest.mark.parametrize(
    ("kind", "reason"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFIFO, "neither a file")]
)
def test_refuses_links_and_devices(tmp_path: Path, kind: int, reason: str) -> None:
    entry = zipfile.ZipInfo("images/a.png")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ArchiveError, match=reason):
        check_archive(tmp_path / "a.zip", limits=LIMITS)


def test_refuses_two_entries_of_one_name_after_normalising(make_zip: Callable[..., Path]) -> None:
    with pytest.raises(ArchiveError, match=r"'\./a\.png' appears twice"):
        check_archive(make_zip({"a.png": b"1", "./a.png": b"2"}), limits=LIMITS)


def test_refuses_encrypted_and_unknown_methods(make_zip: Callable[..., Path]) -> None:
    encrypted = make_zip({"a.png": b"x"}, "encrypted.zip")
    _flip(encrypted, local=6, central=8, value=b"\x01\x00")
    with pytest.raises(ArchiveError, match=r"'a\.png' is encrypted"):
        check_archive(encrypted, limits=LIMITS)
    unknown = make_zip({"a.png": b"x"}, "unknown.zip")
    _flip(unknown, local=8, central=10, value=b"\x09\x00")
    with pytest.raises(ArchiveError, match=r"method that is not supported \(9\)"):
        check_archive(unknown, limits=LIMITS)


def test_refuses_what_expands_beyond_the_limits_and_names_all_of_it(make_zip: Callable[..., Path]) -> None:
    path = make_zip({"bomb": bytes(900_000), "plain": b"abc", "../out": b"x"})
    with pytest.raises(ArchiveError) as caught:
        check_archive(path, limits=replace(LIMITS, max_bytes=900_003))
    message = str(caught.value)
    assert "900004 bytes expanded, data.max_archive_bytes=900003" in message
    assert "'bomb' expands" in message
    assert "'../out' leads out" in message
    assert (
        len(
            check_archive(
                make_zip({"plain": b"abc"}), limits=replace(LIMITS, max_files=1, max_bytes=3, max_ratio=2.0)
            )
        )
        == 1
    )


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_refuses_what_is_no_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="is not a ZIP"):
        check_archive(tmp_path / "a.zip", limits=LIMITS)


def test_refuses_a_truncated_zip(make_zip: Callable[..., Path]) -> None:
    path = make_zip({f"{i}.png": b"x" * 100 for i in range(20)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match="is not a ZIP"):
        check_archive(path, limits=LIMITS)


def test_reading_stops_at_the_declared_size(make_zip: Callable[..., Path]) -> None:
    path = make_zip({"a.png": bytes(50_000_000)})
    _flip(path, local=22, central=24, value=(100_000).to_bytes(4, "little"))
    # It lies well: 48 KB packed and 100 KB declared are a small ratio, though 50 MB come out.
    assert check_archive(path, limits=LIMITS) == {"a.png": "a.png"}
    tracemalloc.start()
    with zipfile.ZipFile(path) as archive, pytest.raises(zipfile.BadZipFile):
        read_entry(archive, "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_reads_an_entry_whole_or_not_at_all(make_zip: Callable[..., Path]) -> None:
    with zipfile.ZipFile(make_zip({"a": b"12345", "empty": b""})) as archive:
        assert read_entry(archive, "a", limit=5) == b"12345"
        assert read_entry(archive, "empty") == b""
        with pytest.raises(ValueError, match="5 bytes, 4 are allowed"):
            read_entry(archive, "a", limit=4)


def test_names() -> None:
    assert normal_name("./a//b/./c.png") == "a/b/c.png"
    assert normal_name("u\u0308.png") == "\u00fc.png"  # u with combining dots, as macOS writes it
    assert unsafe_reason("images/..a.png") is None
    assert all(map(is_junk, ("__MACOSX/a", "a/.b", "a/Thumbs.db")))
    assert not is_junk("a/b.png")


@pytest.mark.parametrize("wide", [False, True])
def test_entries_are_counted_before_they_are_listed(
    tmp_path: Path, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.zip"
    if wide:  # ZIP64, as it is written for more than 65,535 entries
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(300):
            archive.writestr(f"{number}.png", b"")
    found = r"more than 100 entries, data\.max_archive_files=100 are allowed; raise the setting"
    with pytest.raises(ArchiveError, match=found):
        check_count(path, LIMITS.max_files)
    assert len(check_archive(path, limits=replace(LIMITS, max_files=300))) == 300
