"""Hostile files of at most 16 MB: reading any of them takes less than 1.5 GB, and ends in words."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pixels import png
from tests.shared.data.test_limits import declaring, npz

pytestmark = [pytest.mark.attack, pytest.mark.slow, pytest.mark.timeout(300)]

MOST_FILE, MOST_MEMORY = 16 * 2**20, 1.5e9
PICTURE = png(np.zeros((4, 4), np.uint8))
Make = Callable[[Path], Path]
# Runs Python with arguments, and writes its peak in kB: a child of pytest's would begin with that of pytest.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def packed(root: Path, entries: dict[str, bytes], *, deep: bool = True) -> Path:
    path = root / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deep else zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def flat(side: int) -> bytes:
    """A picture of one colour, 16 bits deep."""
    return png(np.zeros((side, side), np.uint16))


def table(root: Path, text: str) -> Path:
    return packed(root, {"metadata.csv": text.encode(), "images/a.png": PICTURE}, deep=False)


def weighted(root: Path) -> Path:
    return packed(root, {f"{'ab'[number % 2]}/{number}.png": flat(6600) for number in range(20)})


FILES: dict[str, Make] = {
    "npz of 300 million labels": lambda root: npz(root / "a.npz", (300_000_000,), (300_000_000, 1, 1)),
    "npz of huge doubles": lambda root: npz(root / "a.npz", (4,), (4, 9459, 9459), "<f8"),
    "pictures that are large": weighted,
    "a picture that is a strip": lambda root: packed(
        root, {"a/1.png": declaring(89_000_000, 1), "b/1.png": PICTURE}
    ),
    "150,000 entries": lambda root: packed(
        root, {f"{'ab'[number % 2]}/{number}.png": b"" for number in range(150_000)}, deep=False
    ),
    "a table of 200,000 columns": lambda root: table(root, "filename,label" + ",c" * 200_000),
    "a table that expands": lambda root: packed(
        root, {"metadata.csv": b"filename,label\n" + b"a.png,b\n" * 25_000_000, "images/a.png": PICTURE}
    ),
    "a long table": lambda root: table(root, "filename,label\n" + "a.png,b\n" * 2_000_000),
    "a wide row": lambda root: table(root, "filename,label\n" + "a" * 15_000_000 + ",b\n"),
    "commas": lambda root: table(root, "filename,label\n" + "," * 16_000_000),
    "quotes": lambda root: table(root, 'filename,label\n"' + "1\n" * 7_000_000),
    "zeros": lambda root: table(root, "\x00" * 16_000_000),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_hostile_file_takes_little_memory(kind: str, tmp_path: Path) -> None:
    path = FILES[kind](tmp_path)
    assert path.stat().st_size <= MOST_FILE
    env = {
        **os.environ,
        "FEDTWIN_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, "-c", MEASURED, "-m", "fedtwin", "data", str(path), "data.decode_workers=1"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode in (0, 2), done.stderr[-2000:]
    *_, memory = done.stderr.split()
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 20_000
    assert 1024 * int(memory) < MOST_MEMORY, done.stderr[-2000:]
