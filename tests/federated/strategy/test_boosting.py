"""Trees that clients and server grow together are those of pooled training, to the last bit, come what may."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

import fedtwin
from federated.client.app import app
from federated.client.egress import egress_filter
from federated.messages.questions import Asked, unpacked_arrays
from federated.messages.records import ANSWER, KIND, QUESTION, array_of
from shared.config.compose import compose
from shared.config.config import Config
from shared.runtime.errors import ConfigError, QuorumError
from shared.runtime.home import Home, open_home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from tests.federated.client.test_egress import SITE
from tests.federated.federation_kit import Federate, digest
from tests.federated.strategy.tree_tables import of_table, write_table
from tests.federated.test_laws import Killed, ShuffledGrid, dies_at_line, pooled_digest

TREES = 4
Train = Callable[[Config], str]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "table.csv")


@pytest.fixture
def configured(table: Path) -> Callable[..., Config]:
    def make(*overrides: str, target: str = "sick") -> Config:
        return compose(
            [
                *(*of_table(table, target), "model=trees"),
                *("model.max_depth=3", "model.min_samples_leaf=5", f"federation.num_rounds={TREES}"),
                *(f"trainer.max_epochs={TREES}", "trainer.progress=false", "trainer.accelerator=cpu"),
                *("partition=natural", "federation.num_clients=3", *overrides),
            ]
        )

    return make


@pytest.mark.parametrize(
    ("target", "overrides"),
    [
        ("sick", []),
        ("sick", ["trainer.class_weights=balanced", "model.colsample=0.6"]),
        ("grade", ["model.growth=leafwise", "model.max_leaves=5"]),
        ("score", []),
    ],
    ids=["two classes", "weighted", "three classes, leaf-wise", "numbers"],
)
def test_the_federated_model_is_the_pooled_one(
    target: str,
    overrides: list[str],
    configured: Callable[..., Config],
    federate: Federate,
    store: Store,
    home: Home,
) -> None:
    cfg = configured("trainer.test_model=last", *overrides, target=target)
    pooled = pooled_digest(cfg, store=store, home=home)
    by_site = federate(cfg=cfg)
    own = {key: array for key, array in by_site.weights().items() if not key.startswith("strategy/")}
    assert digest(own) == pooled
    pooled_run = store.runs.search()[1]
    assert by_site.row.summary["test"] == pooled_run.summary["test"]
    for stage in ("train", "val"):
        losses = by_site.values("loss", stage=stage)  # of all clients together
        expected = {
            row.epoch: row.value
            for row in store.metrics.of_run(pooled_run.id)
            if (row.stage, row.name) == (stage, "loss")
        }
        assert losses == pytest.approx(expected, rel=1e-5)
    test = fedtwin.predict(by_site.id, str(cfg.table.path), store=home.root)
    assert len(test.frame()) == 240


def test_neither_shares_nor_replies_nor_processes_change_a_tree(
    configured: Callable[..., Config], federate: Federate
) -> None:
    cfg = configured()
    digests = {
        "in order": federate(cfg=cfg).digest("best"),
        "shuffled": federate(cfg=cfg, grid=ShuffledGrid(app, num_clients=3)).digest("best"),
        "other shares": federate(
            cfg=configured("partition=iid", "federation.num_clients=5"), grid=InProcessGrid(app, num_clients=5)
        ).digest("best"),
    }
    with ProcessPoolGrid(num_clients=3, workers=2) as grid:
        digests["processes"] = federate(cfg=cfg, grid=grid).digest("best")
    assert len(set(digests.values())) == 1, digests


def forgetful(change: Callable[[Asked, Message], Message] = lambda asked, reply: reply) -> ClientApp:
    """Our ClientApp as a deployment runs it: each message in a process that knows of no other."""
    other = ClientApp()

    @other.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.query("sums")
    def sums(message: Message, context: Context) -> Message:
        from federated.client.work import _algorithm

        _algorithm.cache_clear()
        return change(Asked.from_message(message), app(message, context))

    @other.train()
    def train(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return other


def test_clients_that_remember_nothing_are_told_what_was(
    configured: Callable[..., Config], federate: Federate
) -> None:
    cfg = configured(target="grade")
    assert federate(cfg=cfg, client_app=forgetful()).digest() == federate(cfg=cfg).digest()


def test_the_past_is_told_to_those_alone_that_have_lost_it(
    configured: Callable[..., Config], federate: Federate
) -> None:
    """What a client was asked stays in its home; damaged or gone, it is told again, with the same trees."""
    asked: list[int] = []

    def loses(_: Asked, reply: Message) -> Message:
        asked.append(1)
        root = open_home().root / "client-state"  # of the clients
        logged = sorted(root.glob("*/client-1/questions/*.safetensors"))
        if logged and len(asked) % 2:
            logged[-1].write_bytes(b"damaged")
        elif len(asked) % 3:
            shutil.rmtree(root, ignore_errors=True)
        return reply

    cfg = configured()
    whole, lost = federate(cfg=cfg), federate(cfg=cfg, client_app=forgetful(loses))
    assert lost.digest() == whole.digest()
    down = [sum(run.values("bytes_down", stage="train", client_id=1).values()) for run in (whole, lost)]
    assert down[0] < down[1]


def dies_at_question(number: int) -> ClientApp:
    asked: list[int] = []

    def change(_: Asked, reply: Message) -> Message:
        asked.append(1)
        if len(asked) == number:
            raise Killed
        return reply

    return forgetful(change)


@pytest.mark.parametrize(
    "death", [{"client_app": dies_at_question(40)}, {"say": dies_at_line("round 3/")}], ids=["asked", "kept"]
)
def test_a_resumed_run_grows_the_trees_of_one_without_a_break(
    death: dict[str, Any], configured: Callable[..., Config], federate: Federate, store: Store
) -> None:
    cfg = configured()
    whole = federate(cfg=cfg)
    with pytest.raises(Killed):
        federate(cfg=cfg, **death)
    run_id = store.runs.search()[0].id
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), resume=True)
    assert resumed.id == run_id
    assert resumed.digest() == whole.digest()
    assert resumed.row.summary["test"] == whole.row.summary["test"]
    assert [row.round for row in resumed.rounds] == [1, 2, 3, 4]


def test_the_traffic_of_questions_is_counted(configured: Callable[..., Config], federate: Federate) -> None:
    run = federate(cfg=configured())
    down = run.values("bytes_down", stage="train", client_id=0)
    up = run.values("bytes_up", stage="train", client_id=0)
    assert [*down] == [*up] == [1, 2, 3, 4]
    histograms = 3 * 8 * 100  # gradients, Hessians and rows, in at least a hundred bins
    assert all(value > histograms for value in up.values())
    assert [row.bytes_up > sum(up.values()) / 4 for row in run.rounds]


def changes_answer(change: Callable[[dict[str, Any]], dict[str, Any]]) -> ClientApp:
    def changed(asked: Asked, reply: Message) -> Message:
        if asked.kind == "grow" and len(asked.arrays["asked"]):
            record = reply.content.array_records[ANSWER]
            values = change(unpacked_arrays(record))
            record.clear()
            for name, array in values.items():
                record[name] = array_of(np.asarray(array))
        return reply

    return forgetful(changed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda own: {**own, "histograms": own["histograms"][:, :1]}, "must be float64"),
        (lambda own: {**own, "histograms": own["histograms"] * np.nan}, "NaN"),
        (lambda own: {**own, "histograms": own["histograms"].astype(np.float32)}, "must be float64"),
        (lambda own: {**own, "more": np.zeros(3)}, "more is not an array"),
        (lambda own: {**own, "histograms": own["histograms"] + 0.5}, "whole numbers"),
    ],
    ids=["shape", "not a number", "type", "more", "no sums"],
)
def test_an_answer_that_cannot_be_is_refused_by_name(
    change: Callable[[dict[str, Any]], dict[str, Any]],
    reason: str,
    configured: Callable[..., Config],
    federate: Federate,
    store: Store,
) -> None:
    with pytest.raises(QuorumError, match=f"(?s)0 of 3 clients answered.*needs the sums of all.*{reason}"):
        federate(cfg=configured(), client_app=changes_answer(change))
    (failed,) = store.rounds.of_run(store.runs.search()[0].id)
    assert (failed.round, failed.replied, sorted(failed.failed)) == (1, [], [0, 1, 2])
    assert failed.bytes_up > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy=fedavg"], "strategy=boosting"),
        (["federation.local_epochs=2"], "a round is one tree"),
        (["federation.rounds_per_epoch=2"], "a round is one tree"),
        (["strategy.fraction_train=0.5"], "the sums of all clients"),
        (["trainer.gradient_clip=1"], "trainer.gradient_clip=1.0 has no effect on model=trees"),
    ],
)
def test_settings_that_trees_cannot_follow(
    overrides: list[str], message: str, configured: Callable[..., Config], federate: Federate
) -> None:
    with pytest.raises(ConfigError, match=message):
        federate(cfg=configured(*overrides))


def test_it_grows_nothing_but_trees(table: Path, federate: Federate) -> None:
    with pytest.raises(ConfigError, match=r"got model\.name=linear"):
        federate(
            cfg=compose(
                [
                    *("task=tabular_classification", f"data.path={table}", "data.target=sick"),
                    *("model=linear", "strategy=boosting", "trainer.progress=false"),
                ]
            )
        )


def test_only_what_is_asked_for_leaves_a_site(
    configured: Callable[..., Config], federate: Federate, tmp_path: Path
) -> None:
    """The filter reads the question itself, and lets nothing out that is not in it."""
    guarded = ClientApp(mods=[egress_filter])
    seen: list[set[str]] = []

    @guarded.query("sums")
    def sums(message: Message, context: Context) -> Message:
        reply = app(message, context)
        reply.content["secret"] = reply.content.array_records[ANSWER]
        return reply

    outer = ClientApp()

    @outer.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @outer.query("sums")
    def filtered(message: Message, context: Context) -> Message:
        assert {KIND, QUESTION} <= {*message.content}
        lists = {"metrics": "[loss]", "counts": "[num_examples, num_val]", "may_run": "[]"}
        (tmp_path / "site.yaml").write_text(SITE.format(path=tmp_path, **lists))
        context.node_config["site-file"] = str(tmp_path / "site.yaml")
        try:
            reply = guarded(message, context)
        finally:
            del context.node_config["site-file"]
        seen.append({*reply.content})
        return reply

    @outer.train()
    def train(message: Message, context: Context) -> Message:
        return app(message, context)

    @outer.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    assert federate(cfg=configured(), client_app=outer).row.status == "completed"
    assert all(names == {ANSWER} for names in seen)
