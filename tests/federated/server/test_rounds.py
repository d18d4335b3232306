"""Corners of what is recorded: several local epochs, crashes between two files, the clock of a round."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message, RecordDict

from federated.messages.records import POINTS
from federated.server import checkpoint, server_evaluation
from federated.server.checkpoint import load_checkpoint, save_checkpoint
from shared.runtime.errors import FederationError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import Asked, Federate, MakeConfig, toy_app


def two_epochs(content: RecordDict, where: Asked) -> RecordDict:
    """Loss 5 in local epoch 2, then, late, loss 9 in local epoch 1."""
    if where.kind == "train":
        content.config_records[POINTS].update(
            stages=["train"] * 2, names=["loss"] * 2, values=[5.0, 9.0], epochs=[2, 1], counts=[0, 0]
        )
    return content


def test_the_last_local_epoch_enters_the_aggregate(federate: Federate) -> None:
    run = federate(client_app=toy_app(reply=two_epochs))
    assert run.values("loss", stage="train") == {1: 5.0, 2: 5.0}
    rows = run.rows("loss", stage="train", client_id=0)
    assert [(row.round, row.epoch, row.value) for row in rows] == [
        (1, 2, 5.0),
        (1, 1, 9.0),
        (2, 2, 5.0),
        (2, 1, 9.0),
    ]


def test_aggregates_do_not_overflow(federate: Federate) -> None:
    run = federate(client_app=toy_app(report=lambda where: {"loss": 3.4e38 * (-1) ** where.client_id}))
    assert run.values("loss", stage="val")[1] == pytest.approx(3.4e38 * (10 - 20 + 30) / 60)


class Killed(BaseException):
    """Nothing catches it on the way."""


@pytest.mark.parametrize("at", ["best", "last"])
def test_a_crash_at_a_checkpoint_loses_one_round_at_most(
    at: str,
    federate: Federate,
    make_config: MakeConfig,
    store: Store,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def save(path: Path, state: Any, progress: Any, **more: Any) -> None:
        if path.stem == at and progress.round == 2:
            raise Killed
        save_checkpoint(path, state, progress, **more)

    cfg = make_config("federation.num_rounds=3")
    improving = toy_app(report=lambda where: {"loss": 1 / where.round})
    whole = federate(cfg=cfg, client_app=improving)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", save)
        with pytest.raises(Killed):
            federate(cfg=cfg, client_app=improving)
    run_id = store.runs.search()[0].id
    folder = home.run_dir(run_id) / "checkpoints"
    assert load_checkpoint(folder / "last.safetensors")[1].round == 1
    assert load_checkpoint(folder / "best.safetensors")[1].round == (1 if at == "best" else 2)
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), client_app=improving, resume=True)
    assert [word for line in resumed.lines if "/" in (word := line.split()[1])] == ["2/3", "3/3"]
    assert resumed.digest() == whole.digest()
    assert resumed.digest("best") == whole.digest("best")
    assert resumed.values("loss", stage="val") == {1: 1.0, 2: 0.5, 3: pytest.approx(1 / 3)}


def test_a_round_begins_after_the_evaluation_of_the_one_before(
    federate: Federate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.3)
        return predict(*args, **kwargs)

    predict = server_evaluation.predict
    monkeypatch.setattr(server_evaluation, "predict", slow)
    run = federate("federation.num_rounds=1", client_app=toy_app())
    (row,) = run.rounds
    first = run.values("loss", stage="test")
    assert set(first) == {None, 0, 1}
    before = next(point for point in run.rows("loss", stage="test") if point.round == 0)
    assert row.began >= before.time
    assert row.seconds >= 0.3  # with its own evaluation


def test_a_failure_in_training_is_told_before_one_in_evaluation(federate: Federate) -> None:
    def fails(content: RecordDict, where: Asked) -> RecordDict:
        if where.client_id > 0 and not (where.client_id == 2 and where.kind == "train"):
            raise RuntimeError(where.kind)
        return content

    run = federate("federation.num_rounds=1", client_app=toy_app(reply=fails))
    assert run.rounds[0].failed == {
        1: "train: error 2: RuntimeError: train",
        2: "val: error 2: RuntimeError: evaluate",
    }
    assert run.rounds[0].replied == [0, 2]


class OneWaits(InProcessGrid):
    """The last client answers only when the rows of the others can be read in the database."""

    def __init__(self, store: Store, *, num_clients: int) -> None:
        super().__init__(toy_app(), num_clients=num_clients)
        self.store, self.others = store, num_clients - 1
        self.deadline = time.monotonic() + 30

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        waiting = list(message_ids)
        if len(waiting) == 1:
            kind = {"train": "train", "evaluate": "val"}.get(self._queue[waiting[0]].metadata.message_type)
            rows = self.store.metrics.of_run(self.store.runs.search()[0].id) if kind else []
            late = {row.client_id for row in rows if row.stage == kind and row.name == "loss"}
            if kind and len(late) < self.others and time.monotonic() < self.deadline:
                return []
        return super().pull_messages(waiting)


def test_replies_are_written_while_others_are_waited_for(federate: Federate, store: Store) -> None:
    grid = OneWaits(store, num_clients=3)
    run = federate("federation.num_rounds=1", grid=grid)
    assert time.monotonic() < grid.deadline
    assert [
        row.client_id for row in run.store.metrics.of_run(run.id) if row.name == "loss" and row.stage == "val"
    ] == [
        2,  # as they came: the client with the most rows is asked first
        1,
        0,
        None,
    ]


def test_a_run_that_was_stopped_by_somebody_else_ends_at_the_next_round(
    federate: Federate, make_config: MakeConfig, store: Store
) -> None:
    def stop(line: str) -> None:
        if line.startswith("round 1/"):
            store.runs.finish(store.runs.search()[0].id, "stopped", stop_reason="interrupted by the user")

    with pytest.raises(FederationError, match="ended by another process: stopped"):
        federate(cfg=make_config("federation.num_rounds=3"), client_app=toy_app(), say=stop)
    run = store.runs.search()[0]
    assert (run.status, run.stop_reason) == ("stopped", "interrupted by the user")
    assert [row.round for row in store.rounds.of_run(run.id)] == [1]
