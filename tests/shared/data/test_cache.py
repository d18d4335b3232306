"""The cache: warm loads, changes, many processes at once, killed ones, and damage."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from shared.config.data import ImageDataConfig
from shared.data.cache import drop_entries_of, locked, open_entry, remember_digest
from shared.runtime.errors import ArchiveError
from tests.images import load_images

Config = Callable[..., ImageDataConfig]
Make = Callable[..., Path]
Dataset = Callable[..., dict[str, bytes]]

LOAD = """
import sys
from pathlib import Path
from shared.config.compose import compose
from tests.images import load_images
path, cache, size = sys.argv[1:]
overrides = ["data=zip", f"data.path={path}", f"data.image_size={size}", "data.decode_workers=2"]
data = load_images(compose(overrides).data, cache_dir=Path(cache))
print(data.fingerprint, int(data.images.sum()))
"""


def start(tmp_path: Path, path: Path, *, size: int = 8) -> subprocess.Popen[str]:
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(script), str(path), str(tmp_path / "cache"), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def entries(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "images").iterdir())


def fill(folder: Path) -> None:
    (folder / "a").write_text("whole")


def fail(folder: Path) -> None:
    fill(folder)
    raise ArchiveError("no")


def test_a_warm_load_reads_no_source(
    make_zip: Make, dataset: Dataset, data_config: Config, tmp_path: Path
) -> None:
    path = make_zip(dataset(60))
    cfg, cache = data_config("zip", path), tmp_path / "cache"
    cold = load_images(cfg, cache_dir=cache)
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # the same size and, below, time: nobody looks inside
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    warm = load_images(cfg, cache_dir=cache)
    assert np.array_equal(cold.images, warm.images)
    assert np.array_equal(cold.targets, warm.targets)
    assert np.array_equal(cold.splits, warm.splits)


@pytest.mark.parametrize("changed", ["images/3.png", "metadata.csv"])
def test_a_changed_file_of_a_folder_is_noticed(
    make_folder: Make,
    dataset: Dataset,
    png: Callable[..., bytes],
    data_config: Config,
    tmp_path: Path,
    changed: str,
) -> None:
    files = dataset(12)
    root = make_folder(files)
    first = load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    (root / "notes.txt").write_text("neither metadata nor an image")
    again = load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    assert again.fingerprint == first.fingerprint
    content = png(200) if changed.endswith("png") else files[changed].replace(b"3.png,well", b"3.png,sick")
    (root / changed).write_bytes(content)
    second = load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    assert second.fingerprint != first.fingerprint
    assert (second.images[3].max(), second.targets[3]) == ((200, 1) if changed.endswith("png") else (3, 0))
    (root / changed).write_bytes(files[changed])
    back = load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    assert back.fingerprint == first.fingerprint


def test_digests_are_computed_once_a_stamp(tmp_path: Path) -> None:
    calls: list[str] = []

    def ask(stamp: str) -> str:
        def compute() -> str:
            calls.append(stamp)
            return f"digest of {stamp}"

        return remember_digest(tmp_path, path=Path("/data.zip"), stamp=stamp, compute=compute)

    assert [ask("1"), ask("1"), ask("2")] == ["digest of 1", "digest of 1", "digest of 2"]
    assert calls == ["1", "2"]
    (memo,) = (tmp_path / "digests").iterdir()
    memo.write_text("{dam")
    assert ask("2") == "digest of 2"
    assert calls == ["1", "2", "2"]


def test_an_error_leaves_no_entry(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        open_entry(tmp_path, key="ab", build=fail)
    assert list((tmp_path / "images").iterdir()) == []
    assert (open_entry(tmp_path, key="ab", build=fill) / "a").read_text() == "whole"
    assert (open_entry(tmp_path, key="ab", build=fail) / "a").read_text() == "whole"  # not built again


@pytest.mark.attack
def test_what_was_read_from_a_deleted_file_is_dropped(tmp_path: Path) -> None:
    gone, kept = tmp_path / "gone.zip", tmp_path / "kept.zip"
    sources = {"aa": gone, "bb": gone, "cc": kept, "dd": None}
    for key, source in sources.items():
        kind = "tables" if key == "bb" else "images"
        open_entry(tmp_path, key=key, build=lambda folder: None, kind=kind, source=source)
    for source in (gone, kept):
        remember_digest(tmp_path, path=source, stamp="1", compute=lambda: "digest")
    drop_entries_of(tmp_path, source=gone)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["cc", "dd"]
    assert list((tmp_path / "tables").iterdir()) == []
    assert len(list((tmp_path / "digests").iterdir())) == 1


def test_only_the_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    for name in ("dead.1234.tmp", "alive.1234.tmp"):
        (tmp_path / "images" / name).mkdir(parents=True)
    with locked(tmp_path, "alive"):
        open_entry(tmp_path, key="ab", build=fill)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["ab", "alive.1234.tmp"]


@pytest.mark.attack
@pytest.mark.parametrize("file", ["images.npy", "table.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_a_damaged_entry_is_built_again(
    make_zip: Make, dataset: Dataset, data_config: Config, tmp_path: Path, file: str, content: bytes | None
) -> None:
    cfg = data_config("zip", make_zip(dataset(12)))
    first = load_images(cfg, cache_dir=tmp_path / "cache")
    damaged = tmp_path / "cache" / "images" / first.fingerprint / file
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    again = load_images(cfg, cache_dir=tmp_path / "cache")
    assert again.images[:, 0, 0, 0].tolist() == list(range(12))


def test_processes_that_start_together_share_one_entry(
    make_zip: Make, dataset: Dataset, tmp_path: Path
) -> None:
    path = make_zip(dataset(20))
    processes = [start(tmp_path, path) for _ in range(2)]
    printed = {process.communicate(timeout=240)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    (line,) = printed
    key, total = line.split()
    assert entries(tmp_path) == [key]
    assert int(total) == sum(range(20)) * 64


@pytest.mark.attack
def test_a_killed_process_leaves_nothing_that_lasts(
    make_zip: Make, dataset: Dataset, png: Callable[..., bytes], data_config: Config, tmp_path: Path
) -> None:
    files = dataset(400)
    slow = png(7, 1500)
    path = make_zip(files | {name: slow for name in files if name.startswith("images/")})
    process = start(tmp_path, path, size=64)
    children = _wait_for_workers(process, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert [name.endswith(".tmp") for name in entries(tmp_path)] == [True]
    small = load_images(data_config("zip", make_zip(dataset(12), "b.zip")), cache_dir=tmp_path / "cache")
    assert entries(tmp_path) == [small.fingerprint]


def _wait_for_workers(process: subprocess.Popen[str], tmp_path: Path) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        children = parent.children()
        if len(children) >= 2 and list((tmp_path / "cache").glob("images/*.tmp/images.npy")):
            return children
        time.sleep(0.02)
    pytest.fail("the workers never started")


@pytest.mark.attack
def test_a_source_that_changes_while_it_is_read_is_an_error(
    make_folder: Make, dataset: Dataset, data_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shared.data.images.entry as module
    from shared.runtime.errors import DataError

    root = make_folder(dataset(12))
    write: Any = module._build

    def build_and_change(*args: Any, **options: Any) -> None:
        write(*args, **options)
        (root / "images" / "late.png").write_bytes(b"")

    monkeypatch.setattr(module, "_build", build_and_change)
    with pytest.raises(DataError, match="changed while it was read"):
        load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    assert entries(tmp_path) == []


def _as_floats(entry: Path) -> None:
    images = np.load(entry / "images.npy")
    np.save(entry / "images.npy", images.astype(np.float64))


def _other_shape(entry: Path) -> None:
    np.save(entry / "images.npy", np.load(entry / "images.npy")[:, :, :4])


def _cut(entry: Path) -> None:
    os.truncate(entry / "images.npy", (entry / "images.npy").stat().st_size - 7)


def _other_pixels(entry: Path) -> None:
    np.save(entry / "images.npy", 255 - np.load(entry / "images.npy"))


def _other_rows(entry: Path) -> None:
    table = (entry / "table.json").read_text()
    (entry / "table.json").write_text(table.replace("sick", "\0").replace("well", "sick").replace("\0", "well"))


def _folder_for_a_file(entry: Path) -> None:
    (entry / "images.npy").unlink()
    (entry / "images.npy").mkdir()


def _file_for_the_folder(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("no folder")


def _older(entry: Path) -> None:
    (entry / "seal.json").unlink()


@pytest.mark.attack
@pytest.mark.parametrize(
    "damage",
    [
        *(_as_floats, _other_shape, _cut, _other_pixels, _other_rows),
        *(_folder_for_a_file, _file_for_the_folder, _older),
    ],
)
def test_an_entry_that_was_replaced_is_built_again(
    make_zip: Make, dataset: Dataset, data_config: Config, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    cfg = data_config("zip", make_zip(dataset(12)))
    first = load_images(cfg, cache_dir=tmp_path / "cache")
    damage(tmp_path / "cache" / "images" / first.fingerprint)
    again = load_images(cfg, cache_dir=tmp_path / "cache")
    assert again.images.dtype == np.uint8
    assert again.images[:, 0, 0, 0].tolist() == list(range(12))
    assert again.targets.tolist() == [0, 1] * 6
