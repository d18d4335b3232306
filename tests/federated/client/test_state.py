"""What a client keeps: by run, client and round, in Flower's context and on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
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


def found(one: ClientState, round: int) -> float:
    got = one.of(round)
    assert set(got.local) == {"norm.weight"}
    assert got.algorithm["weight"] == -got.local["norm.weight"]
    return float(got.local["norm.weight"])


@pytest.fixture(params=[False, True], ids=["same-context", "new-context"])
def now(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ClientState]:
    """The client, in the same process or in one that was started anew."""
    where = context()
    return lambda: state(tmp_path, context() if request.param else where)


def test_a_client_goes_on_from_the_round_that_was_accepted(now: Callable[[], ClientState]) -> None:
    assert now().of(0) == Kept()
    now().keep(kept(2.0), round=2, accepted=0)
    assert found(now(), 2) == 2.0
    now().keep(kept(5.0), round=5, accepted=2)
    now().keep(kept(5.5), round=5, accepted=2)  # asked again
    assert (found(now(), 2), found(now(), 5)) == (2.0, 5.5)
    now().keep(kept(6.0), round=6, accepted=2)  # the reply of round 5 was dropped
    now().keep(kept(7.0), round=7, accepted=2)
    assert (found(now(), 2), found(now(), 7)) == (2.0, 7.0)
    now().keep(kept(8.0), round=8, accepted=7)
    assert (found(now(), 7), found(now(), 8)) == (7.0, 8.0)


def test_a_message_that_is_asked_again_after_the_next_one_does_no_harm(now: Callable[[], ClientState]) -> None:
    now().keep(kept(1.0), round=1, accepted=0)
    now().keep(kept(2.0), round=2, accepted=1)
    now().keep(kept(3.0), round=3, accepted=1)
    now().keep(kept(2.0), round=2, accepted=1)
    assert (found(now(), 1), found(now(), 3)) == (1.0, 3.0)


def test_a_state_that_is_gone_is_named(now: Callable[[], ClientState], tmp_path: Path) -> None:
    with pytest.raises(
        FederationError, match=r"state of round 3, which the server's message asks for, is not at .*3\."
    ):
        now().of(3)


def test_the_newest_state_and_that_which_was_accepted_are_kept(tmp_path: Path) -> None:
    where = context()
    for round in range(1, 6):
        state(tmp_path, where).keep(kept(round), round=round, accepted=min(round - 1, 2))
    assert len(where.state.array_records) == 2
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["2.safetensors", "5.safetensors"]


def test_neither_another_client_nor_another_run_sees_it(tmp_path: Path) -> None:
    where = context()
    state(tmp_path, where).keep(kept(1.0), round=1, accepted=0)
    for other in (
        state(tmp_path, where, client=4),
        state(tmp_path, context(), client=4),
        state(tmp_path, where, run=OTHER),
    ):
        with pytest.raises(FederationError, match="state of round 1"):
            other.of(1)
    state(tmp_path, where, run=OTHER).keep(kept(2.0), round=1, accepted=0)
    assert len(where.state.array_records) == 1  # the other run has ended
    assert found(state(tmp_path, where), 1) == 1.0  # and could still be resumed


def test_old_runs_are_removed(tmp_path: Path) -> None:
    state(tmp_path, context()).keep(kept(1.0), round=1, accepted=0)
    for path in [*tmp_path.rglob("*")]:
        os.utime(path, (path.stat().st_mtime - KEPT_S - 60,) * 2)
    state(tmp_path, context(), run=OTHER).keep(kept(2.0), round=1, accepted=0)
    assert [path.name for path in (tmp_path / "client-state").iterdir()] == [OTHER]


@pytest.mark.parametrize("key", ["", "../../etc", "0" * 31 + "/", "A" * 32, "0" * 32 + "\n"])
def test_a_key_that_is_no_key_is_rejected(key: str, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="sent no key"):
        state(tmp_path, context(), run=key)


@pytest.mark.attack
def test_a_damaged_file_is_named_and_not_taken_for_nothing(tmp_path: Path) -> None:
    state(tmp_path, context()).keep(kept(1.0), round=1, accepted=0)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(b"damaged")
    with pytest.raises(FederationError, match=r"cannot be read at .*1\.safetensors"):
        state(tmp_path, context()).of(1)
