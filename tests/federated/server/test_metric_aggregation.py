"""The federation's own metrics: of all clients' rows together, or means where a site sends no statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict

from federated.messages.records import STATISTICS
from federated.server.metric_aggregation import MetricAggregation
from federated.server.reply_intake import CheckedReply
from shared.metrics.binned_ranking import auroc_error
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.point import MetricPoint
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from tests.federated.federation_kit import Asked, Federate, MakeConfig, toy_app

JUDGE = ClassificationMetrics(3)
EXACT = ("accuracy", "loss", "f1", "precision", "recall", "calibration_error")


class Rows:
    """A roster of which only the rows matter."""

    def __init__(self, clients: dict[int, Outputs]) -> None:
        self.sizes = {client_id: len(outputs) for client_id, outputs in clients.items()}

    def num_examples(self, client_id: int, *, stage: str, round: int) -> int:
        return self.sizes[client_id]


def aggregated(clients: dict[int, Outputs], *, silent: tuple[int, ...] = ()) -> dict[str, MetricPoint]:
    roster: Any = Rows(clients)
    metrics = MetricAggregation(roster, judge=JUDGE)
    for client_id, outputs in clients.items():
        points = [MetricPoint("val", name, value) for name, value in JUDGE.values(outputs).items()]
        points.append(MetricPoint("val", "own", float(client_id)))
        statistics = None if client_id in silent else JUDGE.statistics(outputs)
        metrics.add(CheckedReply(points, statistics=statistics), stage="val", client_id=client_id)
    return {point.name: point for point in metrics.aggregate("val", round=1)}


@pytest.fixture
def clients() -> dict[int, Outputs]:
    """The first lacks class 2, the second has nothing else."""
    rng = np.random.default_rng(3)
    odds = np.exp(rng.normal(size=(60, 3)))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    targets = np.concatenate([np.arange(40) % 2, np.full(20, 2)])
    return {k: Outputs(probabilities[rows], targets[rows]) for k, rows in enumerate((slice(40), slice(40, 60)))}


def test_validation_metrics_are_those_of_all_rows(clients: dict[int, Outputs]) -> None:
    whole = Outputs(
        np.concatenate([one.predictions for one in clients.values()]),
        np.concatenate([one.targets for one in clients.values()]),
    )
    found, expected = aggregated(clients), JUDGE.values(whole)
    for name in EXACT:
        assert found[name].value == pytest.approx(expected[name], abs=1e-12), name
        assert (found[name].num_examples, found[name].client_id) == (60, None)
    for name in ("auroc", "average_precision"):
        assert found[name].value == pytest.approx(expected[name], abs=0.005), name
    assert found["own"].value == pytest.approx((0 * 40 + 1 * 20) / 60)  # nothing is known but its values


def test_without_the_statistics_of_one_all_are_means(clients: dict[int, Outputs]) -> None:
    found = aggregated(clients, silent=(1,))
    first, second = (JUDGE.values(outputs) for outputs in clients.values())
    for name in EXACT:
        assert found[name].value == pytest.approx((first[name] * 40 + second[name] * 20) / 60), name
    assert (found["auroc"].value, found["auroc"].num_examples) == (pytest.approx(first["auroc"]), 40)


def test_a_federation_validates_on_the_rows_of_all_clients(
    federate: Federate, make_config: MakeConfig, home: Home
) -> None:
    cfg = make_config("federation.num_rounds=1", "partition=pathological", "partition.classes_per_client=1")
    cfg = cfg.replace("federation", num_clients=2)
    run = federate(cfg=cfg)
    learner = learner_of(cfg)
    data, fit = learner.dataset(cache=home.cache), FitContext()
    module = learner.module(data.schema, fit)
    learner.network(module).load_state_dict(run.weights("last"))
    outputs = learner.predict(module, learner.datamodule(data, None, fit), "val")
    judge = ClassificationMetrics(2)
    rows = [row for row in run.store.metrics.of_run(run.id) if (row.stage, row.client_id) == ("val", None)]
    found, expected = {row.name: row.value for row in rows}, judge.values(outputs)
    for name in EXACT:
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name
    # After one round all probabilities are much alike, so that many rows share a bin.
    bound = auroc_error(judge.statistics(outputs)["ranking"][0])
    assert found["auroc"] == pytest.approx(expected["auroc"], abs=bound)


def test_the_log_says_whose_statistics_are_missing(federate: Federate) -> None:
    judge = ClassificationMetrics(2)

    def some(content: RecordDict, where: Asked) -> RecordDict:
        if where.kind == "evaluate" and where.client_id != 1:
            size = [10, 20, 30][where.client_id]
            outputs = Outputs(np.full((size, 2), 0.5), np.arange(size) % 2)
            packed: dict[str, Any] = dict(judge.statistics(outputs).to_bytes())
            content[STATISTICS] = ConfigRecord(packed)
        return content

    run = federate("federation.num_rounds=2", client_app=toy_app(reply=some))
    told = [line for line in run.lines if "no statistics from" in line]
    assert len(told) == 1, "not in every round"
    assert told[0].startswith("round 1: validation metrics are means over the clients")
