"""Files that are replaced: whole and on disk, or as they were, whatever the disk or a signal does."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.runtime.errors import DiskError
from shared.runtime.files import replacing
from tests.disks import fill, mounted

ENDLESS = """
import hashlib, sys
from pathlib import Path
from shared.runtime.files import replacing

path, number = Path(sys.argv[1]), 0
while True:
    content = bytes([number % 256]) * 20_000_000
    with replacing(path) as file:
        file.write(hashlib.sha256(content).digest())
        for start in range(0, len(content), 1_000_000):
            file.write(content[start : start + 1_000_000])
    number += 1
"""


def write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_replaces_and_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    for content in (b"one", b"two"):
        write(path, content)
        assert path.read_bytes() == content
    assert names(path.parent) == ["b"]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "file", b"old")
    with pytest.raises(TypeError), replacing(tmp_path / "file") as file:
        file.writelines([b"new", "text"])
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.attack
def test_a_full_disk_keeps_what_was_there_and_is_named(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=4) as disk:
        path = disk / "file"
        write(path, b"old" * 1000)
        filler = fill(disk, leave=100_000)
        wrong = rf"cannot write {path}: No space left on device \(\d.\d of 4 MB free\); make room on this disk"
        with pytest.raises(DiskError, match=wrong):
            write(path, bytes(3_000_000))
        assert path.read_bytes() == b"old" * 1000
        assert names(disk) == ["file", "filler"]
        filler.unlink()
        write(path, bytes(3_000_000))
        assert path.stat().st_size == 3_000_000


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"cannot write .*/file/x: .*; mend this, or set FEDTWIN_HOME"):
        write(tmp_path / "file" / "x", b"")


@pytest.mark.attack
def test_kills_at_any_moment_leave_a_whole_file_and_the_next_writer_removes_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for number in range(6):
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)])
        try:
            until = time.monotonic() + 60
            while not list(tmp_path.glob(f".file.{process.pid}.tmp")) and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(0.015 * number)  # somewhere in the first files
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if path.exists():
            content = path.read_bytes()
            assert hashlib.sha256(content[32:]).digest() == content[:32]
    write(path, b"end")
    assert names(tmp_path) == ["file"]
