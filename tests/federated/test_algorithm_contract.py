"""What every algorithm of ``conf/strategy/`` keeps, on real trainings; a new file there is tested by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from omegaconf import OmegaConf

from federated.client.app import app
from federated.client.egress import egress_filter
from federated.messages.records import (
    ARRAYS,
    CONFIG,
    METRICS,
    NUM_EXAMPLES,
    POINTS,
    SERVER_ROUND,
    STATE_ROUND,
    array_of,
    state_of,
)
from federated.messages.wire import ModelLayout, layout_of, size_of
from federated.strategy.base import Algorithm, load_algorithm
from shared.config.compose import CONF_DIR
from shared.config.config import Config
from shared.model.backbones import build_network
from shared.runtime.components import MAY_RUN, load_component
from shared.runtime.errors import QuorumError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.nodes import run_client_app
from tests.federated.client.test_egress import SITE
from tests.federated.federation_kit import OF_NETWORKS, Federate, MakeConfig, Tapped, copied, digest, drops
from tests.federated.test_laws import Killed, ShuffledGrid, dies_at_line, dies_in_round, pooled_digest

# Settings with which the server takes the clients' average as it is; None: there are none.
NEUTRAL: dict[str, list[str] | None] = {
    "fedadam": None,
    "fedavg": [],
    "fedavgm": ["strategy.server_momentum=0", "strategy.server_learning_rate=1"],
    "fedbn": [],
    "fedmedian": [],
    "fedprox": ["strategy.proximal_mu=0"],
    "fedtrimmedavg": [],
    "scaffold": [],  # of one client, for two rounds: then its control variate is the server's but for rounding
    "declares": [],
}
OWN = {"declares": "tests.federated.declaring_algorithm.Declares"}
TARGETS = {
    name: str(OmegaConf.load(CONF_DIR / "strategy" / f"{name}.yaml")["_target_"]) for name in OF_NETWORKS
} | OWN
KINDS = {
    name: load_component(target, kind=Algorithm, may_run=[*OWN.values()]) for name, target in TARGETS.items()
}
ALGORITHMS = [*KINDS]
AVERAGING = [name for name in ALGORITHMS if NEUTRAL.get(name, []) is not None]
STATEFUL = [name for name, kind in KINDS.items() if kind.keeps_state]
LOCAL = [name for name, kind in KINDS.items() if kind.local_keys is not Algorithm.local_keys]


def named(algorithm: str) -> list[str]:
    """Overrides that choose an algorithm."""
    own = OWN.get(algorithm)
    return [f"strategy._target_={own}", f"strategy.name={algorithm}"] if own else [f"strategy={algorithm}"]


def neutral(algorithm: str) -> list[str]:
    assert algorithm in NEUTRAL, f"say with which settings {algorithm} is federated averaging, or None"
    return [*named(algorithm), *(NEUTRAL[algorithm] or [])]


@pytest.fixture(autouse=True)
def own_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, ",".join(OWN.values()))


@pytest.fixture(params=ALGORITHMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- one client is pooled training -------------------------------------------------------------------

ALONE = ["model.norm=batch", "partition=iid", "federation.num_clients=1", "trainer.optimizer.momentum=0"]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], str]:
    """Digest of two epochs on all rows, which no strategy changes."""
    found: list[str] = []

    def of(cfg: Config) -> str:
        if not found:
            root = tmp_path_factory.mktemp("pooled")
            home = Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")
            with Store(home.database_url) as store:
                found.append(pooled_digest(cfg, store=store, home=home))
        return found[0]

    return of


@pytest.mark.parametrize("name", [name for name in AVERAGING if KINDS[name].wire.sends_local])
def test_one_client_with_all_data_and_neutral_settings_is_pooled_training(
    name: str, federate: Federate, make_config: MakeConfig, pooled: Callable[[Config], str]
) -> None:
    cfg = make_config(*neutral(name), *ALONE, "federation.num_rounds=2", "trainer.max_epochs=2")
    last = federate(cfg=cfg).weights()
    assert digest({key: tensor for key, tensor in last.items() if not key.startswith("strategy/")}) == pooled(
        cfg
    )


# --- a whole run, and what travelled in it ------------------------------------------------------------


CLIENTS, ROUNDS = 5, 3
SEVERAL = [
    "model.norm=batch",
    "model.dropout=0.2",
    "partition=quantity",
    f"federation.num_clients={CLIENTS}",
    f"federation.num_rounds={ROUNDS}",
    "strategy.fraction_train=0.8",
]


@dataclass(frozen=True)
class Whole:
    """A run that nothing disturbed."""

    cfg: Config
    grid: Tapped
    digest: str
    best: str
    test: dict[str, float]
    summary: dict[str, Any]
    metrics: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def wholes() -> dict[str, Whole]:
    return {}


@pytest.fixture
def whole(name: str, wholes: dict[str, Whole], federate: Federate, make_config: MakeConfig) -> Whole:
    """One for each algorithm."""
    if name not in wholes:
        cfg = make_config(*named(name), *SEVERAL)
        run = federate(cfg=cfg, grid=(grid := Tapped(app, num_clients=CLIENTS)))
        wholes[name] = Whole(
            cfg, grid, run.digest(), run.digest("best"), run.row.summary["test"], run.row.summary, measured(run)
        )
    return wholes[name]


def measured(run: Any) -> list[tuple[Any, ...]]:
    """All rows but times."""
    return sorted(
        (str(row.client_id), str(row.round), str(row.epoch), row.stage, row.name, row.value)
        for row in run.store.metrics.of_run(run.id)
        if row.name not in ("seconds", "reply_seconds")
    )


def algorithm_of(cfg: Config) -> Algorithm:
    return load_algorithm(cfg.strategy)


def layout(cfg: Config) -> ModelLayout:
    network = build_network(cfg, num_outputs=2)
    return ModelLayout(
        {key: (tuple(t.shape), str(t.numpy().dtype)) for key, t in network.state_dict().items()},
        trained=frozenset(key for key, _ in network.named_parameters()),
        local=algorithm_of(cfg).local_keys(network),
    )


def test_the_order_of_replies_and_nodes_changes_nothing(whole: Whole, federate: Federate) -> None:
    shuffled = federate(cfg=whole.cfg, grid=ShuffledGrid(app, num_clients=CLIENTS))
    assert (shuffled.digest(), shuffled.digest("best")) == (whole.digest, whole.best)
    assert shuffled.row.summary["test"] == whole.test


def nobody_replies_in_round(number: int) -> ClientApp:
    """Our ClientApp, of which a round's training replies do not reach the server."""
    mute = ClientApp()

    @mute.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @mute.train()
    def train(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if message.content.config_records[CONFIG][SERVER_ROUND] == number:
            raise ConnectionError
        return reply

    @mute.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return mute


@pytest.mark.parametrize(
    ("death", "error"),
    [
        ({"client_app": dies_in_round(2, at="train")}, Killed),
        ({"say": dies_at_line("round 2/")}, Killed),
        ({"client_app": nobody_replies_in_round(2)}, QuorumError),
    ],
    ids=["training", "before-the-checkpoint", "without-a-quorum"],
)
def test_a_resumed_run_is_one_that_was_never_interrupted(
    death: dict[str, Any], error: type[BaseException], whole: Whole, federate: Federate, store: Store
) -> None:
    with pytest.raises(error):
        federate(cfg=whole.cfg, **death)
    (row,) = [row for row in store.runs.search() if row.status == "failed"]
    resumed = federate(cfg=whole.cfg.replace("tracking", run_id=row.id), resume=True)
    assert [done.round for done in resumed.rounds] == [1, 2, 3]
    assert (resumed.digest(), resumed.digest("best")) == (whole.digest, whole.best)
    assert resumed.row.summary["test"] == whole.test
    assert measured(resumed) == whole.metrics


def test_what_was_sent_is_what_is_declared(whole: Whole) -> None:
    wire, model = algorithm_of(whole.cfg).wire, layout(whole.cfg)
    assert len(whole.grid.messages) == len(whole.grid.replies) == ROUNDS * round(0.8 * CLIENTS)
    for asked in whole.grid.messages.values():
        sent = {name: layout_of(record) for name, record in asked.content.array_records.items()}
        assert sent == wire.message(model)
        assert size_of(sent) == whole.summary["train_message_bytes"]
    for reply in whole.grid.replies.values():
        sent = {name: layout_of(record) for name, record in reply.content.array_records.items()}
        assert sent == wire.reply(model)
        assert size_of(sent) == whole.summary["train_reply_bytes"]
        assert {*wire.metrics} <= set(reply.content.config_records[POINTS]["names"])  # type: ignore[arg-type]


def last_of_somebody(whole: Whole) -> tuple[int, int]:
    """Round and client of a train message that begins with a state, if clients keep one."""
    places = sorted(whole.grid.messages, reverse=True)
    if not algorithm_of(whole.cfg).keeps_state:
        return places[0]
    return next(
        place for place in places if whole.grid.messages[place].content.config_records[CONFIG][STATE_ROUND]
    )


@pytest.mark.parametrize("started_anew", [False, True])
def test_the_same_message_gets_the_same_answer(whole: Whole, started_anew: bool, home: Home) -> None:
    place = last_of_somebody(whole)
    asked = whole.grid.messages[place]
    context = whole.grid.contexts[asked.metadata.dst_node_id]
    if started_anew:  # what it kept is on disk
        context = Context(1, context.node_id, context.node_config, RecordDict(), {})
    reply = run_client_app(app, asked, context)
    assert dict(reply.content.array_records) == dict(whole.grid.replies[place].content.array_records)


@pytest.mark.parametrize("name", LOCAL)
def test_a_client_works_with_its_own_values_of_local_keys(whole: Whole, home: Home) -> None:
    """Whatever comes for them with the global model."""
    local = layout(whole.cfg).local
    assert local
    place = last_of_somebody(whole)
    asked = whole.grid.messages[place]
    content = copied(asked.content)
    for key in local:
        array = content.array_records[ARRAYS][key]
        content.array_records[ARRAYS][key] = array_of(array.numpy() + np.ones((), array.dtype))
    other = Message(content, asked.metadata.dst_node_id, MessageType.TRAIN)
    other.metadata.__dict__["_message_id"] = "other"
    reply = run_client_app(app, other, whole.grid.contexts[asked.metadata.dst_node_id])
    assert dict(reply.content.array_records) == dict(whole.grid.replies[place].content.array_records)


def test_the_filter_of_a_site_lets_out_what_is_declared(
    whole: Whole, tmp_path: Path, two_classes: Path
) -> None:
    wire = algorithm_of(whole.cfg).wire
    file = tmp_path / "site.yaml"
    allowed = {"metrics": '["loss"]', "counts": '["num_examples"]', "may_run": json.dumps(list(OWN.values()))}
    file.write_text(SITE.format(path=two_classes, **allowed))
    place = last_of_somebody(whole)
    asked, reply = whole.grid.messages[place], whole.grid.replies[place]
    context = Context(1, 1, {"site-file": str(file)}, RecordDict(), {})

    def full(message: Message, context: Context) -> Message:
        content = copied(reply.content)
        content["images"] = ArrayRecord(dict(content.array_records[ARRAYS]))
        content["ages"] = MetricRecord({"mean": 61.0})
        content["names"] = ConfigRecord({"first": "Ann"})
        content.metric_records[METRICS]["age"] = 61.0
        return Message(content, reply_to=message)

    left = egress_filter(asked, context, full).content
    assert {*left} == {ARRAYS, METRICS, POINTS, *(spec.name for spec in wire.up)}
    assert dict(left.array_records) == dict(reply.content.array_records)
    assert {*left.metric_records[METRICS]} == {NUM_EXAMPLES}
    assert {*left.config_records[POINTS]["names"]} == {"loss", *wire.metrics}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["declares"])
def test_a_declared_metric_is_a_row_of_each_client_and_of_the_federation(whole: Whole) -> None:
    rows = {
        (client_id, round): value
        for client_id, round, _, stage, metric, value in whole.metrics
        if (stage, metric) == ("train", "drift")
    }
    for number in range(1, ROUNDS + 1):
        replies = {client: reply.content for (of, client), reply in whole.grid.replies.items() if of == number}
        drifts, counts = [], []
        for client_id, content in replies.items():
            change = state_of(content.array_records["change"])
            drift = sum(float(value.double().square().sum()) for value in change.values()) ** 0.5
            assert rows[str(client_id), str(number)] == pytest.approx(drift)
            drifts.append(drift)
            counts.append(content.metric_records[METRICS][NUM_EXAMPLES])
        assert rows["None", str(number)] == pytest.approx(np.average(drifts, weights=counts))  # type: ignore[arg-type]
    assert len(rows) == ROUNDS * (1 + round(0.8 * CLIENTS))


# --- replies that break the contract ------------------------------------------------------------------


def tampering(wire_up: str, metrics: tuple[str, ...]) -> ClientApp:
    """Our ClientApp, of which only client 0 keeps to what is declared."""
    wrong = ClientApp()

    @wrong.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @wrong.train()
    def train(message: Message, context: Context) -> Message:
        reply = app(message, context)
        content, client_id = reply.content, context.node_config["partition-id"]
        if client_id == 1:
            content["images"] = ArrayRecord(dict(content.array_records[ARRAYS]))
        if client_id == 2:
            content.metric_records[METRICS]["age"] = 61.0
        if client_id == 3:
            del content[wire_up]
        if client_id == 4:
            columns: Any = content.config_records[POINTS]
            if metrics:
                columns["names"] = ["other" if name in metrics else name for name in columns["names"]]
            else:
                columns["values"] = [float("nan")] * len(columns["values"])
        return reply

    @wrong.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return wrong


def test_what_is_not_as_declared_is_rejected_by_name_and_one_reply_is_enough(
    name: str, federate: Federate, make_config: MakeConfig
) -> None:
    cfg = make_config(*neutral(name), *SEVERAL, "strategy.fraction_train=1")
    cfg = cfg.replace("federation", num_rounds=1)
    wire = algorithm_of(cfg).wire
    records = [ARRAYS, *(spec.name for spec in wire.up)]
    grid = Tapped(tampering(records[-1], wire.metrics), num_clients=CLIENTS)
    run = federate(cfg=cfg, grid=grid)
    (row,) = run.rounds
    assert row.replied == [0]
    unread = "its points cannot be read: auroc is nan"
    reasons = {
        1: f"expected ArrayRecords named {records}, got {[*records, 'images']}",
        2: "expected only 'num-examples' in 'metrics', got ['num-examples', 'age']",
        3: f"expected ArrayRecords named {records}, got {records[:-1]}",
        4: f"its metrics lack {', '.join(wire.metrics)}, which the algorithm" if wire.metrics else unread,
    }
    assert row.failed.keys() == reasons.keys()
    for client_id, reason in reasons.items():
        assert row.failed[client_id].startswith(f"train: rejected: {reason}")
    last = run.weights()
    assert all(bool(tensor.isfinite().all()) for tensor in last.values())
    if name in AVERAGING:
        sent = state_of(grid.replies[1, 0].content.array_records[ARRAYS])
        assert digest({key: last[key] for key in sent}) == digest(sent), "one reply is its own average"


# --- what clients keep --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("number", [1, 2])
def test_a_client_whose_reply_was_dropped_goes_on_as_if_it_had_not_trained(
    number: int, name: str, federate: Federate, make_config: MakeConfig
) -> None:
    cfg = make_config(*named(name), *SEVERAL, "strategy.fraction_train=1")
    runs = [
        federate(cfg=cfg, client_app=drops(number, client_id=1, how=how))
        for how in ("not-trained", "lost", "rejected")
    ]
    assert all(run.rounds[number - 1].replied == [0, 2, 3, 4] for run in runs)
    assert len({run.digest() for run in runs}) == 1
    for metric in ("loss", "accuracy"):
        assert len({str(run.values(metric, stage="val", client_id=1)) for run in runs}) == 1
    assert federate(cfg=cfg).digest() != runs[0].digest()
