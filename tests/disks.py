"""Disks of tests: small ones that can really be full, or read-only; and a user who is not root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    text = f"nothing can be mounted here (root is needed): {done.stderr.strip()}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@contextmanager
def mounted(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A disk of its own, in memory, while the block lasts."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder on a mount that takes no writes, while the block lasts."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Write a file until the disk has no more than some bytes left; its removal makes room again."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (2**20, 4096, 1):
            while True:
                status = os.statvfs(disk)
                if status.f_bavail * status.f_frsize < leave + size:
                    break
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    return path
