"""A model's outputs, kept and read: as runs write them now, and as those of earlier versions did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.metrics.outputs import Outputs, UnreadableOutputs

GOOD: dict[str, Any] = {
    "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32),
    "labels": np.array([1, 0]),
    "threshold": 0.3,
}


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    kept = Outputs(GOOD["probabilities"], GOOD["labels"], 0.3, groups=np.array([7, 7]))
    kept.save(tmp_path / "p.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    read = Outputs.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(read.predictions, kept.predictions)
    assert read.predictions.dtype == np.float32
    assert read.targets.tolist() == [1, 0]
    assert (read.threshold, read.num_classes, len(read)) == (0.3, 2, 2)
    assert read.groups is not None
    assert read.groups.tolist() == [7, 7]


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "old.npz", **GOOD)
    read = Outputs.load(tmp_path / "old.npz")
    assert (read.threshold, read.groups) == (0.3, None)
    assert read.is_finite
    assert read.at(0.5).threshold == 0.5


def test_rows_that_do_not_fit_together() -> None:
    with pytest.raises(ValueError, match="2 predictions for 1 targets"):
        Outputs(GOOD["probabilities"], np.array([1]))
    with pytest.raises(ValueError, match="1 groups for 2 targets"):
        Outputs(GOOD["probabilities"], GOOD["labels"], groups=np.array([1]))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([2, 0])},
        {"labels": np.array([-1, 0])},
        {"labels": np.array([0, 1, 0])},
        {"labels": np.array(["a", "b"])},
        {"labels": np.array([{}, {}], dtype=object)},
        {"probabilities": np.array([0.5, 0.5])},
        {"probabilities": np.array([["a", "b"], ["a", "b"]])},
        {"probabilities": np.empty((0, 2)), "labels": np.empty(0, dtype=int)},
        {"threshold": np.array([0.1, 0.2])},
        {"groups": np.array([1])},
    ],
)
def test_files_that_no_run_wrote(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez(tmp_path / "bad.npz", **{**GOOD, **changes})
    with pytest.raises(UnreadableOutputs):
        Outputs.load(tmp_path / "bad.npz").of_classes()


def test_files_that_are_no_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", labels=GOOD["labels"])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:80])
    np.save(tmp_path / "array.npy", GOOD["labels"])
    for name in ("short.npz", "text.npz", "empty.npz", "cut.npz", "array.npy"):
        with pytest.raises(UnreadableOutputs):
            Outputs.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Outputs.load(tmp_path / "none.npz")
