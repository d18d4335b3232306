"""Decoding in several processes gives what one gives, and a process that dies is an error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from shared.data.pixels.decode_pool import decode_files
from shared.data.pixels.facts import FACTS, facts_beside
from shared.runtime.errors import DataError
from tests.pixels import pixel_rules

Make = Callable[..., Path]


def _decode(root: Path, names: dict[int, str], workers: int) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    out = root.with_name(f"{root.name}-{workers}") / "images.npy"
    out.parent.mkdir()
    np.lib.format.open_memmap(out, mode="w+", dtype=np.uint8, shape=(len(names), 1, 8, 8))
    np.lib.format.open_memmap(facts_beside(out), mode="w+", dtype=FACTS, shape=(len(names),))
    bad = decode_files(root, names=names, out=out, rules=pixel_rules(size=8, channels=1), workers=workers)
    assert [row for row, kind in enumerate(np.load(facts_beside(out))["kind"]) if not kind] == list(bad)
    return np.load(out), bad


def test_processes_write_the_same_as_one_process(
    make_zip: Make, make_folder: Make, png: Callable[..., bytes]
) -> None:
    files = {f"{row}.png": png(row) if row != 40 else b"broken" for row in range(70)}
    names = {row: f"{row}.png" for row in range(70)}
    expected = np.arange(70, dtype=np.uint8)
    expected[40] = 0
    for root, workers in ((make_zip(files), 2), (make_zip(files, "b.zip"), 1), (make_folder(files), 1)):
        images, bad = _decode(root, names, workers)
        assert list(bad) == [40]
        assert bad[40].startswith("cannot be decoded: not an image")
        assert np.array_equal(images, np.broadcast_to(expected[:, None, None, None], images.shape))


@pytest.mark.attack
def test_a_damaged_entry_is_one_bad_row(make_zip: Make, png: Callable[..., bytes]) -> None:
    path = make_zip({"0.png": png(9), "1.png": png(5)})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF  # within the packed bytes of the first entry
    path.write_bytes(content)
    images, bad = _decode(path, {0: "0.png", 1: "1.png"}, 1)
    assert list(bad) == [0]
    assert images[1].max() == images[1].min() == 5


def test_a_program_that_does_not_decode_is_an_error(
    make_folder: Make, png: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"0.png": png()})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DataError, match=r"ended with 1, .*data\.decode_workers=1"):
        _decode(root, dict.fromkeys(range(64), "0.png"), 2)


@pytest.mark.attack
def test_a_process_that_is_killed_is_an_error(make_folder: Make, png: Callable[..., bytes]) -> None:
    root = make_folder({"0.png": png(0, 2000)})
    me = psutil.Process()
    before = set(me.children())

    def kill_first_worker() -> None:
        deadline = time.monotonic() + 60
        while not (workers := set(me.children()) - before) and time.monotonic() < deadline:
            time.sleep(0.01)
        workers.pop().kill()

    killer = threading.Thread(target=kill_first_worker)
    killer.start()
    with pytest.raises(DataError, match="ended with -9"):
        _decode(root, dict.fromkeys(range(200), "0.png"), 2)
    killer.join()
    assert set(me.children()) == before
