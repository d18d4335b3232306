"""What a client keeps: by run, client and round, in Flower's context and on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from flwr.app import Context, RecordDict

from federated.client.state import KEPT_S, ClientState, Kept
from shared.runtime.errors import FederationError

RUN, OTHER = "0" * 32, "1" * 32


def context() -> Context:
    return Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})


def state(home: Path, where: Context, *, run: str = RUN, client: int = 3) -> ClientState:
    return ClientState(where, home=home, run_key=run, client_id=client)


def kept(value: float) -> Kept:
    return Kept(local={"norm.weight": torch.tensor([value])}, algorithm={"weight": torch.tensor([-value])})


def found(one: ClientState, round: int) -> float | None:
    got = one.before(round)
    assert set(got.local) in (set(), {"norm.weight"})
    if not got.local:
        assert not got.algorithm
        return None
    assert got.algorithm["weight"] == -got.local["norm.weight"]
    return float(got.local["norm.weight"])


@pytest.mark.parametrize("again", [False, True], ids=["same-context", "new-context"])
def test_a_round_finds_the_last_earlier_one(again: bool, tmp_path: Path) -> None:
    where = context()

    def now() -> ClientState:
        return state(tmp_path, context() if again else where)

    assert found(now(), 1) is None
    now().keep(kept(2.0), round=2)
    assert (found(now(), 2), found(now(), 3)) == (None, 2.0)
    now().keep(kept(5.0), round=5)
    assert (found(now(), 5), found(now(), 6), found(now(), 9)) == (2.0, 5.0, 5.0)
    now().keep(kept(5.5), round=5)  # asked again
    assert (found(now(), 5), found(now(), 6)) == (2.0, 5.5)
    now().keep(kept(7.0), round=7)
    assert (found(now(), 7), found(now(), 8)) == (5.5, 7.0)


def test_the_last_two_rounds_are_kept(tmp_path: Path) -> None:
    where = context()
    for round in range(1, 6):
        state(tmp_path, where).keep(kept(round), round=round)
    assert len(where.state.array_records) == 2
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["4.safetensors", "5.safetensors"]


def test_neither_another_client_nor_another_run_sees_it(tmp_path: Path) -> None:
    where = context()
    state(tmp_path, where).keep(kept(1.0), round=1)
    assert found(state(tmp_path, where, client=4), 2) is None
    assert found(state(tmp_path, context(), client=4), 2) is None
    assert found(state(tmp_path, where, run=OTHER), 2) is None
    state(tmp_path, where, run=OTHER).keep(kept(2.0), round=1)
    assert len(where.state.array_records) == 1  # the other run has ended
    assert found(state(tmp_path, where), 2) == 1.0  # and could still be resumed


def test_old_runs_are_removed(tmp_path: Path) -> None:
    state(tmp_path, context()).keep(kept(1.0), round=1)
    for path in [*tmp_path.rglob("*")]:
        os.utime(path, (path.stat().st_mtime - KEPT_S - 60,) * 2)
    state(tmp_path, context(), run=OTHER).keep(kept(2.0), round=1)
    assert [path.name for path in (tmp_path / "client-state").iterdir()] == [OTHER]


@pytest.mark.parametrize("key", ["", "../../etc", "0" * 31 + "/", "A" * 32, "0" * 32 + "\n"])
def test_a_key_that_is_no_key_is_rejected(key: str, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="sent no key"):
        state(tmp_path, context(), run=key)


def test_a_damaged_file_is_named_and_not_taken_for_nothing(tmp_path: Path) -> None:
    state(tmp_path, context()).keep(kept(1.0), round=1)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(b"damaged")
    with pytest.raises(FederationError, match=r"cannot be read at .*1\.safetensors"):
        state(tmp_path, context()).before(2)
