"""Checkpoints come back as they went, and a broken one is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from federated.server.checkpoint import Progress, load_checkpoint, save_checkpoint
from shared.runtime.errors import DiskError, FederationError

STATE = {
    "weight": torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "counter": torch.tensor(2**40),
}
PROGRESS = Progress(
    round=7,
    best_round=5,
    best_value=0.1 + 0.2,
    threshold=0.437,
    stopping_best=0.3,
    stale_rounds=2,
    lr_scale=0.1**3,
    plateau_best=1 / 3,
    plateau_stale=1,
    accepted={0: 7, 12: 3},
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.safetensors"
    save_checkpoint(path, STATE, PROGRESS)
    state, progress, _ = load_checkpoint(path)
    assert progress == PROGRESS
    assert {key: tensor.dtype for key, tensor in state.items()} == {key: t.dtype for key, t in STATE.items()}
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]


def test_what_belongs_to_the_strategy_is_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    kept = {key: tensor + 1 for key, tensor in STATE.items()}
    save_checkpoint(path, STATE, PROGRESS, strategy=kept)
    state, _, strategy = load_checkpoint(path)
    assert state.keys() == strategy.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) and torch.equal(strategy[key], kept[key]) for key in STATE)


def test_a_crash_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, STATE, PROGRESS)

    def fail(*args: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(DiskError, match="power cut"):
        save_checkpoint(path, STATE, Progress(round=8))
    assert load_checkpoint(path)[1].round == 7


@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 100, pickle.dumps({"a": 1})])
def test_what_is_not_a_checkpoint_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FederationError, match=r"no global model to resume from at .*last\.safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "metadata", [None, {"progress": "[1]"}, {"progress": '{"odd": 1}'}, {"progress": "{"}, {"a": "b"}]
)
def test_safetensors_of_somebody_else(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_file({"a": torch.ones(1)}, path, metadata=metadata)
    with pytest.raises(FederationError, match="no global model"):
        load_checkpoint(path)
