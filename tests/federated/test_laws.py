"""The laws of federated training, held by real training: equality to the last bit, and resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from centralized.train import train
from federated.client.app import app
from shared.runtime.home import Home
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from tests.federated.federation_kit import Federate, MakeConfig, Run, digest

PLAIN = ["data=digits", "trainer.optimizer.momentum=0", "federation.num_clients=1", "partition=iid"]


def pooled_digest(cfg: Any, *, store: Store, home: Home) -> str:
    """SHA-256 of the network that centralized training leaves after its last epoch."""
    run_id = train(cfg, store=store, home=home)
    path = home.run_dir(run_id) / "checkpoints" / "last.ckpt"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "network."
    return digest({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [
            "model.dropout=0.3",
            "model.norm=batch",
            "trainer.scheduler.name=cosine",
            "trainer.class_weights=balanced",
            "trainer.label_smoothing=0.1",
            "data.augment.hflip=0.5",
            "data.augment.shift=0.1",
            "data.augment.rotate=10",
        ],
        ["trainer.scheduler.name=one_cycle", "trainer.gradient_clip=0.5", "model.norm=group"],
        ["trainer.logit_adjustment=1", "data.standardize=image"],
    ],
    ids=["plain", "everything", "one-cycle", "adjusted"],
)
def test_one_client_with_all_data_equals_centralized_training(
    overrides: list[str], federate: Federate, make_config: MakeConfig, home: Home, store: Store
) -> None:
    cfg = make_config(*PLAIN, "federation.num_rounds=3", "trainer.max_epochs=3", *overrides)
    assert federate(cfg=cfg).digest() == pooled_digest(cfg, store=store, home=home)


KEPT = ["federation.keep_optimizer=true", *PLAIN[2:], "data=digits"]
OPTIMIZERS = {
    "momentum": ["trainer.optimizer.momentum=0.9"],
    "nesterov": ["trainer.optimizer.nesterov=true", "trainer.scheduler.name=one_cycle"],
    "adam": ["trainer.optimizer.name=adamw", "trainer.optimizer.weight_decay=0", "model.norm=batch"],
    "adamw": ["trainer.optimizer.name=adamw", "trainer.scheduler.name=cosine", "trainer.gradient_clip=0.5"],
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_one_client_that_keeps_its_optimizer_equals_centralized_training(
    optimizer: list[str], federate: Federate, make_config: MakeConfig, home: Home, store: Store
) -> None:
    cfg = make_config(*KEPT, "federation.num_rounds=3", "trainer.max_epochs=3", *optimizer)
    expected = pooled_digest(cfg, store=store, home=home)
    assert federate(cfg=cfg).digest() == expected
    assert federate(cfg=cfg.replace("federation", keep_optimizer=False)).digest() != expected


def test_rounds_that_share_a_pass_are_the_pass(
    federate: Federate, make_config: MakeConfig, home: Home, store: Store
) -> None:
    # Of 120 rows in batches of 20 each half is three whole batches, and plain SGD carries nothing over.
    plain = [*PLAIN[1:], "data.batch_size=20", "trainer.max_epochs=2"]
    cfg = make_config(*plain, "federation.num_rounds=4", "federation.rounds_per_epoch=2")
    run = federate(cfg=cfg)
    assert run.digest() == pooled_digest(cfg, store=store, home=home)
    assert [row.num_examples for row in run.rows("loss", stage="train", client_id=0)] == [60] * 4
    whole = federate(cfg=cfg.replace("federation", num_rounds=2, rounds_per_epoch=1))
    assert run.digest() == whole.digest()


def test_rounds_that_share_a_pass_see_every_row_once(federate: Federate) -> None:
    settings = ["federation.num_rounds=3", "federation.rounds_per_epoch=3", "partition=quantity"]
    run = federate(*settings, "federation.num_clients=3")
    for client in store_clients(run):
        seen = [row.num_examples for row in run.rows("loss", stage="train", client_id=client.client_id)]
        assert sum(seen) == client.num_examples
        assert max(seen) - min(seen) <= 1


def store_clients(run: Run) -> list[ClientRow]:
    return list(run.store.clients.of_run(run.id))


def test_another_seed_gives_other_weights(federate: Federate) -> None:
    assert federate(*PLAIN).digest() != federate(*PLAIN, "seed=7").digest()


class ShuffledGrid(InProcessGrid):
    """Replies come from the last client first, and node ids are in another order than the clients."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return super().pull_messages(reversed(list(message_ids)))

    def get_node_ids(self) -> list[int]:
        return super().get_node_ids()[::-1]


def test_the_order_of_replies_and_nodes_changes_nothing(federate: Federate) -> None:
    settings = [
        "federation.num_clients=4",
        "strategy.fraction_train=0.5",
        "partition=quantity",
        "model.norm=batch",
    ]
    straight = federate(*settings)
    shuffled = federate(*settings, grid=ShuffledGrid(app, num_clients=4))
    again = federate(*settings)
    assert straight.digest() == shuffled.digest() == again.digest()
    assert [row.sampled for row in straight.rounds] == [row.sampled for row in shuffled.rounds]


@pytest.mark.parametrize(
    "more",
    [
        ["strategy=fedavg"],
        ["strategy=scaffold"],
        ["strategy=fedbn"],
        ["strategy=fedbn", "federation.keep_optimizer=true"],
    ],
    ids=lambda more: more[-1].partition("=")[2],
)
def test_processes_of_the_local_engine_give_the_weights_of_one_process(
    more: list[str], federate: Federate
) -> None:
    settings = ["federation.num_clients=5", "partition=quantity", "model.norm=batch", "model.dropout=0.2"]
    settings += more
    alone = federate(*settings)
    with ProcessPoolGrid(num_clients=5, workers=2) as engine:
        parallel = federate(*settings, grid=engine)
    assert parallel.digest() == alone.digest()
    assert parallel.digest("best") == alone.digest("best")


class Killed(BaseException):
    """Ends a run at once, as nothing that is caught on the way."""


def dies_in_round(number: int, *, at: str) -> ClientApp:
    """Our ClientApp, until a message of a round arrives."""
    mortal = ClientApp()

    def guarded(message: Message, context: Context, kind: str) -> Message:
        if kind == at and message.content.config_records["config"]["server-round"] == number:
            raise Killed
        return app(message, context)

    @mortal.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @mortal.train()
    def train(message: Message, context: Context) -> Message:
        return guarded(message, context, "train")

    @mortal.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return guarded(message, context, "evaluate")

    return mortal


def dies_at_line(start: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if line.startswith(start):
            raise Killed

    return say


RESUMED = [
    "federation.num_rounds=4",
    "federation.num_clients=2",
    "model.dropout=0.2",
    "trainer.scheduler.name=cosine",
]


@pytest.mark.parametrize(
    ("death", "overrides"),
    [
        ({"client_app": dies_in_round(3, at="train")}, []),
        (
            {"client_app": dies_in_round(3, at="evaluate")},
            ["strategy.fraction_train=0.5", "strategy.min_train=1", "strategy.fraction_evaluate=0.5"],
        ),
        ({"say": dies_at_line("round 3/")}, ["trainer.scheduler.name=plateau", "trainer.scheduler.patience=0"]),
        ({"client_app": dies_in_round(1, at="train")}, ["federation.local_epochs=2"]),
        (
            {"client_app": dies_in_round(3, at="train")},
            ["federation.keep_optimizer=true", "trainer.optimizer.name=adamw", "strategy.fraction_train=0.5"],
        ),
    ],
    ids=[
        "training",
        "evaluating",
        "before-the-checkpoint",
        "first-round",
        "kept-optimizer",
    ],
)
def test_a_resumed_run_ends_like_one_that_was_never_interrupted(
    death: dict[str, Any], overrides: list[str], federate: Federate, make_config: MakeConfig, store: Store
) -> None:
    cfg = make_config(*RESUMED, *overrides)
    whole = federate(cfg=cfg)
    with pytest.raises(Killed):
        federate(cfg=cfg, **death)
    run_id = store.runs.search()[0].id
    assert store.runs.get(run_id).status == "failed"
    done = [row.round for row in store.rounds.of_run(run_id)]
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), resume=True)
    assert resumed.id == run_id
    assert resumed.row.status == "completed"
    assert resumed.digest() == whole.digest()
    assert resumed.digest("best") == whole.digest("best")
    assert resumed.row.summary["test"] == whole.row.summary["test"]
    assert [row.round for row in resumed.rounds] == [1, 2, 3, 4]
    assert [row.round for row in store.evaluations.of_run(run_id)] == [0, 1, 2, 3, 4]
    starts = [int(line.split("/")[0].split()[1]) for line in resumed.lines if line.startswith("round ")]
    assert starts[0] == 0 if not done else starts[0] >= max(done)  # at most one round is done again

    def measured(run: Any) -> list[tuple[Any, ...]]:
        timed = {"seconds", "reply_seconds"}
        return sorted(
            (str(row.client_id), str(row.round), str(row.epoch), row.stage, row.name, row.value)
            for row in store.metrics.of_run(run.id)
            if row.name not in timed
        )

    assert measured(resumed) == measured(whole)


def test_resuming_a_run_that_lacks_only_the_test_trains_no_more(
    federate: Federate, make_config: MakeConfig, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise Killed

    cfg = make_config()
    with monkeypatch.context() as patch:
        patch.setattr("federated.server.app.record_test", fail)
        with pytest.raises(Killed):
            federate(cfg=cfg)
    run_id = store.runs.search()[0].id
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), resume=True)
    assert resumed.row.status == "completed"
    rounds = [line for line in resumed.lines if line.startswith("round ")]
    assert rounds == []
    assert "accuracy" in resumed.row.summary["test"]
