"""A whole federation, mostly of clients that train nothing: what is recorded, chosen, stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from flwr.app import Array, Context, Message, RecordDict

from federated.client.app import app
from federated.messages.records import CONFIG, LR_SCALE
from federated.server.app import main
from shared.data.images.datamodule import ImageDataModule
from shared.metrics.classification import ClassificationMetrics
from shared.model.backbones import build_network
from shared.runtime.errors import (
    ConfigError,
    DivergedError,
    FederationError,
    PartitionError,
    QuorumError,
    TrackingError,
)
from shared.runtime.home import Home
from shared.tasks.stage_outputs import predict
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from tests.federated.federation_kit import Asked, Federate, MakeConfig, Run, toy_app
from tests.images import Bare, load_images
from tests.profiles import stored

MEAN = (10 * 1 + 20 * 2 + 30 * 3) / 60  # of the toy's values 1, 2, 3 by its 10, 20, 30 examples


def test_what_a_run_records(federate: Federate, make_config: MakeConfig) -> None:
    run = federate(client_app=toy_app())
    assert run.row.status == "completed"
    assert run.row.stop_reason is None
    assert run.row.training_mode == "federated"
    assert run.row.config == make_config().snapshot()
    assert run.row.summary["classes"] == ["0", "1"]
    assert [(row.client_id, row.node_id, row.name) for row in run.store.clients.of_run(run.id)] == [
        (0, "1000", "site 0"),
        (1, "1001", "site 1"),
        (2, "1002", "site 2"),
    ]
    assert [row.profile for row in run.store.clients.of_run(run.id)] == [
        stored(10, 0),
        stored(20, 0),
        stored(30, 0),
    ]
    evaluations = run.store.evaluations.of_run(run.id)
    assert [row.round for row in evaluations] == [0, 1, 2]
    assert all(row.num_examples == 40 and sum(map(sum, row.confusion or [])) == 40 for row in evaluations)
    assert run.values("loss", stage="test") == {
        None: run.row.summary["test"]["loss"],
        **{row.round: pytest.approx(row.loss) for row in evaluations},
    }
    for stage in ("train", "val"):
        assert run.values("loss", stage=stage) == {1: pytest.approx(MEAN), 2: pytest.approx(MEAN)}
        assert {row.num_examples for row in run.rows("loss", stage=stage)} == {60}
        for client_id in range(3):
            assert run.values("loss", stage=stage, client_id=client_id) == {
                1: client_id + 1.0,
                2: client_id + 1.0,
            }
            for name in ("bytes_up", "bytes_down", "reply_seconds"):
                values = run.values(name, stage=stage, client_id=client_id)
                assert set(values) == {1, 2}
                assert min(values.values()) > 0
    rounds = run.rounds
    assert [row.round for row in rounds] == [1, 2]
    for row in rounds:
        assert row.sampled == row.replied == [0, 1, 2]
        assert row.failed == {}
        assert row.began < row.ended
        assert row.seconds == pytest.approx((row.ended - row.began).total_seconds(), abs=0.05)
        for total, name in ((row.bytes_up, "bytes_up"), (row.bytes_down, "bytes_down")):
            clients = [(stage, client_id) for stage in ("train", "val") for client_id in range(3)]
            assert total == sum(run.values(name, stage=s, client_id=c)[row.round] for s, c in clients)
    assert rounds[0].ended <= rounds[1].began
    assert [word for line in run.lines if "/" in (word := line.split()[1])] == ["0/2", "1/2", "2/2"]


def test_the_weights_are_the_weighted_average(federate: Federate, make_config: MakeConfig) -> None:
    run = federate("model.norm=batch", client_app=toy_app())
    start = build_network(make_config("model.norm=batch"), num_outputs=2).state_dict()
    for key, tensor in run.weights().items():
        assert tensor.dtype == start[key].dtype
        if tensor.is_floating_point():
            assert torch.allclose(tensor, start[key] + 2 * MEAN / 8, atol=1e-6)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (["strategy=fedmedian"], 2.0),
        (["strategy=fedtrimmedavg", "strategy.beta=0.4"], 2.0),
        (["strategy=fedprox"], MEAN),
    ],
)
def test_other_strategies_by_their_name(
    strategy: list[str], expected: float, federate: Federate, make_config: MakeConfig
) -> None:
    run = federate(*strategy, client_app=toy_app())
    start = build_network(make_config(), num_outputs=2).state_dict()
    assert run.row.config["strategy"]["name"] == strategy[0].removeprefix("strategy=")
    for key, tensor in run.weights().items():
        assert torch.allclose(tensor, start[key] + 2 * expected / 8, atol=1e-6)


def test_clients_without_validation_rows_are_not_asked(federate: Federate) -> None:
    asked: list[Asked] = []

    def note(content: RecordDict, where: Asked) -> RecordDict:
        asked.append(where)
        return content

    run = federate(client_app=toy_app(num_val=[0, 20, 30], reply=note))
    assert {where.client_id for where in asked if where.kind == "evaluate"} == {1, 2}
    assert run.values("loss", stage="val") == {1: pytest.approx(2.6), 2: pytest.approx(2.6)}
    assert all(row.failed == {} for row in run.rounds)


@pytest.mark.parametrize("case", [{"num_val": [0, 0, 0]}, {"overrides": ["strategy.fraction_evaluate=0"]}])
def test_if_nobody_evaluates_the_last_model_is_tested(case: dict[str, Any], federate: Federate) -> None:
    run = federate(*case.get("overrides", []), client_app=toy_app(num_val=case.get("num_val")))
    assert run.row.summary["test_round"] == 2
    assert run.values("loss", stage="val") == {}


def test_an_undefined_metric_is_averaged_over_those_that_report_it(federate: Federate) -> None:
    def report(where: Asked) -> dict[str, float]:
        return {"loss": 1.0} if where.client_id == 1 else {"loss": 1.0, "auroc": where.client_id / 4}

    run = federate(client_app=toy_app(report=report))
    assert run.values("auroc", stage="val") == {
        1: pytest.approx(0.375),
        2: pytest.approx(0.375),
    }  # 30 x 0.5 / 40
    assert {row.num_examples for row in run.rows("auroc", stage="val")} == {40}


def by_round(*losses: float) -> Any:
    """A toy whose loss is given by round."""
    return toy_app(report=lambda where: {"loss": losses[where.round - 1]})


FOUR = ["federation.num_rounds=4", "trainer.early_stopping.patience=2"]


@pytest.mark.parametrize(("test_model", "tested"), [("best", 2), ("last", 4)])
def test_the_best_round_by_validation_is_tested(test_model: str, tested: int, federate: Federate) -> None:
    run = federate(*FOUR, f"trainer.test_model={test_model}", client_app=by_round(3.0, 1.0, 2.0, 2.0))
    assert run.row.stop_reason is None
    assert run.row.summary["test_round"] == tested
    evaluations = {row.round: row for row in run.store.evaluations.of_run(run.id)}
    assert run.row.summary["test"]["loss"] == pytest.approx(evaluations[tested].loss)
    assert run.row.summary["confusion"] == evaluations[tested].confusion
    difference = run.weights("last")["conv1.bias"] - run.weights("best")["conv1.bias"]
    assert float(difference[0]) == pytest.approx(2 * MEAN / 8, rel=1e-5)  # two rounds


def test_the_loss_chooses_where_the_tasks_own_metric_is_not_measured(federate: Federate) -> None:
    run = federate(*FOUR, "trainer.monitor=null", client_app=by_round(3.0, 1.0, 2.0, 2.0))
    assert (run.row.summary["test_round"], run.row.summary["monitor"]) == (
        2,
        {"key": "val/loss", "mode": "min"},
    )
    said = [line for line in run.lines if "val/loss chooses it instead" in line]
    assert said == [
        "warning: val/auroc, which chooses the best model, is not defined (not on the clients' val rows of "
        "round 1); val/loss chooses it instead"
    ]


def test_a_run_that_recall_began_is_resumed_with_recall(
    federate: Federate, make_config: MakeConfig, store: Store
) -> None:
    def stop(content: RecordDict, where: Asked) -> RecordDict:
        return raising(content, where) if where.round == 3 else content

    def report(where: Asked) -> dict[str, float]:
        return {"loss": 1.0, "recall": (0.5, 0.9, 0.8, 0.7)[where.round - 1], "auroc": where.round / 5}

    with pytest.raises(QuorumError):
        federate(*FOUR, "trainer.monitor=val/recall", client_app=toy_app(report=report, reply=stop))
    run_id = failed_run(store).id
    store.runs.update(run_id, summary={"monitor": None})  # version 0.1 did not store it
    cfg = make_config(*FOUR, "trainer.monitor=null").replace("tracking", run_id=run_id)
    resumed = federate(cfg=cfg, client_app=toy_app(report=report), resume=True)
    assert resumed.row.summary["monitor"] == {"key": "val/recall", "mode": "max"}
    assert resumed.row.summary["test_round"] == 2  # by auroc 4


def test_a_chosen_first_round_and_a_monitor_that_nobody_measures_are_warned_of(federate: Federate) -> None:
    def warned(run: Run) -> list[str]:
        warnings: list[str] = run.row.summary["warnings"]
        assert [f"warning: {text}" for text in warnings] == [li for li in run.lines if li.startswith("warning")]
        return [text for text in warnings if "calls all 40 test examples" not in text]

    first = federate(*FOUR, client_app=by_round(1.0, 2.0, 2.0, 2.0))
    assert warned(first)[0].startswith(
        "the model of the first round of 4 was tested, as val/loss was never better"
    )
    nobody = federate(*FOUR, client_app=toy_app(num_val=[0, 0, 0]))
    says = "val/loss, which was to choose the model, was never measured: the model of the last round (4) was"
    assert warned(nobody) == [f"{says} tested"]
    assert warned(federate(*FOUR, client_app=by_round(3.0, 1.0, 2.0, 2.0))) == []


def test_early_stopping_on_request(federate: Federate) -> None:
    stubborn = by_round(3.0, 1.0, 2.0, 2.0)
    assert len(federate(*FOUR, client_app=stubborn).rounds) == 4
    run = federate(*FOUR, "federation.early_stopping=true", client_app=by_round(1.0, 2.0, 2.0, 0.0))
    assert run.row.status == "completed"
    assert run.row.stop_reason == "val/loss did not improve in the last 2 rounds; best 1.0000 in round 1"
    assert [row.round for row in run.rounds] == [1, 2, 3]
    assert run.row.summary["test_round"] == 1
    done = federate(*FOUR, "federation.early_stopping=true", client_app=stubborn)
    assert done.row.stop_reason is None  # it would have stopped after its last round


class Recording(InProcessGrid):
    """Keeps the learning rate's factor of every train message."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scales: list[Any] = []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        self.scales += [
            m.content.config_records[CONFIG][LR_SCALE] for m in messages if m.metadata.message_type == "train"
        ]
        return super().push_messages(messages)


def test_a_plateau_lowers_the_clients_learning_rate(federate: Federate) -> None:
    settings = [
        "trainer.scheduler.name=plateau",
        "trainer.scheduler.patience=0",
        "trainer.scheduler.factor=0.5",
    ]
    grid = Recording(by_round(2.0, 2.0, 1.0, 1.5), num_clients=3)
    federate(*FOUR, *settings, grid=grid)
    assert grid.scales[::3] == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("test_model", ["best", "last"])
def test_the_threshold_is_that_of_pooled_validation_rows(
    test_model: str, federate: Federate, make_config: MakeConfig, home: Home
) -> None:
    cfg = make_config("trainer.threshold=val", f"trainer.test_model={test_model}", "federation.num_rounds=2")
    run = federate(cfg=cfg)
    network = build_network(cfg, num_outputs=2)
    network.load_state_dict(run.weights(test_model))
    pooled = ImageDataModule(load_images(cfg.data, cache_dir=home.cache), cfg=cfg.data, seed=0)
    scores = predict(Bare(network), pooled, "val", device=torch.device("cpu"))
    judge = ClassificationMetrics(2)
    assert run.row.summary["threshold"] == judge.best_threshold(judge.statistics(scores)) != 0.5


def test_a_fixed_threshold_is_used(federate: Federate) -> None:
    assert federate("trainer.threshold=0.3", client_app=toy_app()).row.summary["threshold"] == 0.3


def raising(content: RecordDict, where: Asked) -> RecordDict:
    raise RuntimeError(f"no luck for {where.client_id}")


class Late(InProcessGrid):
    """Client 2 never replies to what it is sent for training, and client 1 replies twice."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        replies = [
            reply
            for reply in super().pull_messages(message_ids)
            if (reply.metadata.src_node_id, reply.metadata.message_type) != (1002, "train")
        ]
        return replies * (1 + any(reply.metadata.src_node_id == 1001 for reply in replies))


def test_late_replies_are_missing_and_repeated_ones_count_once(federate: Federate) -> None:
    settings = ["federation.num_rounds=1", "federation.round_timeout_s=2"]
    run = federate(*settings, grid=Late(toy_app(), num_clients=3))
    assert run.row.status == "completed"
    assert run.rounds[0].failed == {2: "train: no reply within 2 s"}
    assert run.values("loss", stage="train") == {1: pytest.approx((10 * 1 + 20 * 2) / 30)}
    assert run.values("loss", stage="val") == {
        1: pytest.approx((10 * 1 + 20 * 2) / 30)
    }  # not asked: it is still at work


def failed_run(store: Store) -> Any:
    row = store.runs.search()[0]
    assert row.status == "failed"
    assert row.ended is not None
    return row


def test_if_all_clients_raise_the_run_fails(federate: Federate, store: Store) -> None:
    with pytest.raises(
        QuorumError, match=r"round 1: 0 of 3 training replies were valid, federation\.min_replies"
    ):
        federate(client_app=toy_app(reply=raising))
    row = failed_run(store)
    assert row.error.startswith("QuorumError: round 1")
    assert row.summary["classes"] == ["0", "1"]  # known from the start, for whoever watches
    assert "site 2: error 2: RuntimeError: no luck for 2" in row.error
    (round_row,) = store.rounds.of_run(row.id)
    assert round_row.failed == {k: f"train: error 2: RuntimeError: no luck for {k}" for k in range(3)}
    assert round_row.replied == []


def one_fails_later(content: RecordDict, where: Asked) -> RecordDict:
    return raising(content, where) if where == Asked("train", 1, 2) else content


def test_the_quorum(federate: Federate, store: Store) -> None:
    with pytest.raises(QuorumError, match="round 2: 2 of 3"):
        federate("federation.min_replies=3", client_app=toy_app(reply=one_fails_later))
    run = Run(store, None, failed_run(store).id, [])  # type: ignore[arg-type]
    assert [row.replied for row in run.rounds] == [[0, 1, 2], [0, 2]]
    assert set(run.values("loss", stage="train", client_id=0)) == {1, 2}  # what came stays
    assert set(run.values("loss", stage="train")) == {1}  # what was not aggregated is not there
    assert [row.round for row in store.evaluations.of_run(run.id)] == [0, 1]
    enough = federate("federation.min_replies=2", client_app=toy_app(reply=one_fails_later))
    assert enough.row.status == "completed"
    assert enough.rounds[1].failed == {1: "train: error 2: RuntimeError: no luck for 1"}
    assert enough.values("loss", stage="train") == {
        1: pytest.approx(MEAN),
        2: pytest.approx(2.5),
    }  # 10 and 90 of 40
    assert "round 2: site 1 dropped (train): error 2: RuntimeError: no luck for 1" in enough.lines


def test_a_failed_round_is_done_again_on_resume(
    federate: Federate, make_config: MakeConfig, store: Store
) -> None:
    cfg = make_config("federation.min_replies=3")
    with pytest.raises(QuorumError):
        federate(cfg=cfg, client_app=toy_app(reply=one_fails_later))
    run_id = failed_run(store).id
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), client_app=toy_app(), resume=True)
    assert (resumed.id, resumed.row.status, resumed.row.error) == (run_id, "completed", None)
    assert [row.failed for row in resumed.rounds] == [{}, {}]
    assert resumed.values("loss", stage="train") == {1: pytest.approx(MEAN), 2: pytest.approx(MEAN)}
    assert resumed.digest() == federate(cfg=cfg, client_app=toy_app()).digest()


def test_a_model_that_is_no_longer_finite_ends_the_run_by_name(federate: Federate, store: Store) -> None:
    # Finite weights, and finite in the average, but too large for a finite answer.
    def explode(content: RecordDict, where: Asked) -> RecordDict:
        if where.kind == "train" and where.round == 2:
            for key, array in content.array_records["arrays"].items():
                content.array_records["arrays"][key] = Array(array.numpy() * 0 + array.numpy().dtype.type(1e38))
        return content

    with pytest.raises(DivergedError, match="round 2: the global model or its predictions are not finite"):
        federate(client_app=toy_app(reply=explode))
    row = failed_run(store)
    assert "DivergedError" in row.error
    assert [entry.round for entry in store.rounds.of_run(row.id)] == [1, 2]


def test_clients_that_cannot_partition(federate: Federate, store: Store) -> None:
    with pytest.raises(PartitionError, match="need 300 training rows, got 120"):
        federate("partition.min_examples=100")
    assert failed_run(store).error.count("need 300 training rows") == 1


def test_too_few_nodes(federate: Federate, store: Store) -> None:
    grid = InProcessGrid(toy_app(), num_clients=2)
    with pytest.raises(FederationError, match="num-supernodes=3"):
        federate("federation.connect_timeout_s=0.1", grid=grid)
    assert "num-supernodes=3" in failed_run(store).error


def test_settings_that_do_not_fit_the_data(federate: Federate, store: Store) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.monitor=test/accuracy"):
        federate("trainer.monitor=test/accuracy", client_app=toy_app())
    assert "ConfigError" in failed_run(store).error


def test_a_run_that_is_interrupted_is_stopped(federate: Federate, store: Store) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        federate(client_app=toy_app(), say=interrupt)
    assert store.runs.search()[0].status == "stopped"


def context(**run_config: Any) -> Context:
    return Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=run_config)


def test_main_takes_overrides_or_a_prepared_row(
    make_config: MakeConfig, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEDTWIN_HOME", str(home.root))
    cfg = make_config("federation.num_rounds=1")
    words = ["data=npz", f"data.path={cfg.data.path}", "data.image_size=8", "model.widths=[2,4]"]
    words += ["federation.num_rounds=1", "trainer.monitor=val/loss", "description='two words'"]
    grid = InProcessGrid(toy_app(), num_clients=3)
    main(grid, context(overrides=" ".join(f'"{word}"' for word in words)))
    with Store(home.database_url) as store:
        row = store.runs.search()[0]
        assert row.status == "completed"
        assert row.config["federation"]["num_clients"] == 3  # as many as there are nodes
        assert row.description == "two words"
        prepared = store.runs.create(
            name="mine", training_mode="federated", config=cfg.snapshot(), seed=cfg.seed, status="pending"
        )
        main(grid, context(**{"run-id": prepared}))
        assert store.runs.get(prepared).status == "completed"
        assert store.runs.get(prepared).config == json.loads(json.dumps(cfg.snapshot()))
        with pytest.raises(TrackingError, match="completed already"):
            main(grid, context(**{"run-id": prepared}))
    assert "round 1/1" in capsys.readouterr().out
    assert (home.results).is_dir()


def test_real_clients_learn(federate: Federate) -> None:
    run = federate("federation.num_rounds=3", "trainer.optimizer.lr=0.1", client_app=app)
    losses = [row.loss for row in run.store.evaluations.of_run(run.id)]
    assert losses[-1] < losses[0]
    names = {
        row.name for row in run.store.metrics.of_run(run.id) if row.client_id == 0 and row.stage == "train"
    }
    assert {"loss", "accuracy", "recall", "auroc", "seconds", "lr", "bytes_up", "bytes_down"} <= names
    assert {row.num_examples for row in run.rows("loss", stage="train", client_id=0)} == {40}
    assert {row.epoch for row in run.rows("loss", stage="train", client_id=0)} == {1}
