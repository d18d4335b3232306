"""Files as nobody writes them: whatever is in one, it is read, or refused with an error of ours."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from shared.config.data import ImageDataConfig
from shared.data.sources.layout import recognise
from shared.runtime.errors import LONGEST_TEXT, DataError
from tests.fuzzing import draws
from tests.images import load_images
from tests.pixels import png

pytestmark = pytest.mark.attack

Config = Callable[..., ImageDataConfig]
GENERATED = settings(max_examples=draws(25), suppress_health_check=list(HealthCheck))
PICTURE = png(np.zeros((4, 4), np.uint8))

words = st.sampled_from(
    ["filename", "label", "patient_id", "split", "site", "a.png", "images/b.png", "train", "x", "7"]
)
cells = st.one_of(words, st.text(max_size=12))
tables = st.lists(st.lists(cells, max_size=5), max_size=6).map(
    lambda rows: "\n".join(map(",".join, [["filename", "label"], *rows])).encode("utf-8", "replace")
)
contents = st.one_of(
    st.binary(max_size=40), st.just(PICTURE), st.binary(max_size=30).map(lambda tail: PICTURE[:40] + tail)
)
names = st.one_of(
    st.sampled_from(
        ["images/a.png", "images/b.png", "metadata.csv", "a/1.png", "b/2.png", "train/a/1.png", "c.dcm"]
    ),
    st.text(min_size=1, max_size=12),
)


@contextmanager
def folder() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp())
    try:
        yield found
    finally:
        shutil.rmtree(found)


def read_it(path: Path, data_config: Config, **changes: Any) -> None:
    refused = ""
    try:
        source, place = recognise(path)
        load_images(data_config(source, place, **changes), cache_dir=path.parent / "cache")
    except DataError as error:
        refused = str(error)
    assert len(refused) <= LONGEST_TEXT + 100


@GENERATED
@given(content=st.one_of(tables, st.binary(max_size=80)), packed=st.booleans())
@example(content=b"filename,label\na.png,\x00\nb.png,y", packed=True)
def test_tables(data_config: Config, content: bytes, packed: bool) -> None:
    with folder() as root:
        if packed:
            with zipfile.ZipFile(root / "a.zip", "w") as archive:
                archive.writestr("metadata.csv", content)
                archive.writestr("images/a.png", PICTURE)
            read_it(root / "a.zip", data_config)
        else:
            (root / "data").mkdir()
            (root / "data" / "metadata.csv").write_bytes(content)
            read_it(root / "data", data_config, on_bad_image="skip")


# Where the central directory has the name of `a/1.png`, the only entry.
NAME = 30 + len("a/1.png") + len(zlib.compress(PICTURE)) - 6 + 46


@pytest.mark.filterwarnings("ignore:Duplicate name")
@GENERATED
@given(
    entries=st.lists(st.tuples(names, contents), max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 60),
)
@example(entries=[("a/1.png", PICTURE)], flips=[(NAME, 0)], cut=0)  # a name that is empty before its NUL
def test_archives(
    data_config: Config, entries: list[tuple[str, bytes]], flips: list[tuple[int, int]], cut: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            # Python cuts a name at its NUL, and cannot write an empty one.
            archive.writestr(name.encode("utf-8", "replace").decode().partition("\0")[0] or "x", content)
    damaged = bytearray(buffer.getvalue())
    for place, value in flips:
        damaged[place % len(damaged)] = value
    with folder() as root:
        (root / "a.zip").write_bytes(damaged[: len(damaged) - cut] if cut < 10 else damaged)
        read_it(root / "a.zip", data_config, on_bad_image="skip", max_bad_share=0.9)


numbers = st.one_of(st.integers(-3, 9), st.sampled_from([2**31, 2**63, -(2**63), 10**30]))
types = st.sampled_from(["|u1", "<u2", ">i4", "<f8", "|O", "<U5", "|V0", "|S0", "<M8[s]"])


@GENERATED
@given(
    arrays=st.dictionaries(
        st.sampled_from(
            [f"{side}_{kind}" for side in ("train", "val", "test") for kind in ("images", "labels")]
        ),
        st.tuples(st.lists(numbers, max_size=4), types, st.integers(0, 400)),
        max_size=6,
    ),
    junk=st.binary(max_size=20),
)
def test_arrays(data_config: Config, arrays: dict[str, tuple[list[int], str, int]], junk: bytes) -> None:
    with folder() as root:
        with zipfile.ZipFile(root / "a.npz", "w") as archive:
            for key, (shape, descr, size) in arrays.items():
                header = io.BytesIO()
                npy.write_array_header_1_0(
                    header, {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
                )
                archive.writestr(f"{key}.npy", header.getvalue() + bytes(size) + junk)
            archive.writestr("test_labels.npy" if "test_labels" not in arrays else "more.npy", junk)
        read_it(root / "a.npz", data_config)
