"""Declared metrics: functions of rows or of all rows, logged values, and what clients say of both."""

from __future__ import annotations

import numpy as np
import pytest

from shared.config.compose import compose
from shared.data.profile import Profile
from shared.data.schema import Schema
from shared.metrics.outputs import Outputs
from shared.metrics.statistics import Statistics
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ReplyRejected
from shared.tasks.custom.spec import CustomSpec
from shared.tasks.task import load_task

METRICS = (
    "{mse: {better: lower, _target_: tests.own_code.squared, low: 0},"
    " r2: {better: higher, _target_: tests.own_code.r2, high: 1, label: R2}, loss: lower}"
)
TARGETS = np.array([[1.0], [2.0], [4.0], [np.nan], [3.0]])
OUTPUTS = Outputs(np.array([[1.5], [2.0], [3.0], [0.0], [5.0]]), TARGETS, logged={"loss": 0.25})


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> CustomSpec:
    monkeypatch.setenv(MAY_RUN, "tests.own_code")
    own = ["task=custom", "data._target_=tests.own_code.Data", "model._target_=tests.own_code.Predicting"]
    made = load_task(compose([*own, f"task.metrics={METRICS}"]).task).spec(Schema())
    assert isinstance(made, CustomSpec)
    return made


def test_what_is_declared(spec: CustomSpec) -> None:
    assert [(m.name, m.better, m.label, m.per_run) for m in spec.metrics] == [
        ("mse", "lower", "mse", False),
        ("r2", "higher", "R2", False),
        ("loss", "lower", "loss", True),
    ]
    assert (spec.monitor, spec.client_metric, spec.logged) == ("val/mse", "mse", ("loss",))


def test_a_mean_leaves_out_rows_on_which_it_is_not_defined(spec: CustomSpec) -> None:
    values = spec.values(OUTPUTS)
    assert values == {"mse": pytest.approx((0.25 + 0 + 1 + 4) / 4), "loss": 0.25}  # R2 is not defined


def test_weights_count_rows(spec: CustomSpec) -> None:
    known = Outputs(OUTPUTS.predictions[:3], OUTPUTS.targets[:3], logged={"loss": 0.25})
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 1, 2]])
    score = spec.score(known, weights)
    repeated = [
        Outputs(known.predictions[rows], known.targets[rows]) for rows in ([0, 1, 2], [0, 0, 2], [1, 2, 2])
    ]
    assert score["mse"].tolist() == [pytest.approx(1.25 / 3), pytest.approx(0.5), pytest.approx(2 / 3)]
    assert score["r2"].tolist() == [pytest.approx(spec.values(one)["r2"]) for one in repeated]
    assert score["loss"].tolist() == [0.25] * 3


def test_sums_of_clients_are_means_over_all_rows(spec: CustomSpec) -> None:
    parts = [
        Outputs(OUTPUTS.predictions[rows], OUTPUTS.targets[rows], logged={"loss": loss})
        for rows, loss in (([0, 1], 1.0), ([2, 3, 4], 2.0))
    ]
    one, other = map(spec.statistics, parts)
    for statistics, part in zip((one, other), parts, strict=True):
        spec.check(statistics, rows=len(part))
        packed = Statistics.from_bytes(statistics.to_bytes(), layout=spec.layout)
        assert spec.pooled(packed) == spec.pooled(statistics)
    pooled = spec.pooled(one + other)
    assert pooled["mse"] == pytest.approx(spec.values(OUTPUTS)["mse"])
    assert pooled["loss"] == pytest.approx((2 * 1.0 + 3 * 2.0) / 5)


@pytest.mark.parametrize(
    ("rows", "sums", "message"),
    [
        ([3, 3, 3], [1.0, 0.0, 0.0], "rows is 3, expected 2 or fewer"),
        ([2, 2, 2], [-1.0, 0.0, 0.0], "sums gives mse -0.5, expected 0.0 to inf"),
        ([2, 2, 2], [1.0, 3.0, 0.0], "sums gives r2 1.5, expected -inf to 1.0"),
        ([2, 0, 2], [1.0, 0.5, 0.0], "sums has 0.5 for r2, which is defined on no row"),
    ],
)
def test_statistics_that_cannot_be(rows: list[int], sums: list[float], message: str, spec: CustomSpec) -> None:
    with pytest.raises(ValueError, match=message):
        spec.check(Statistics({"rows": np.array(rows), "sums": np.array(sums)}), rows=2)


def test_profiles(spec: CustomSpec) -> None:
    spec.check_profile(Profile(counts={"kind": {"even": 2, "odd": 1}}), num_examples=3)
    spec.check_profile(Profile(), num_examples=3)
    with pytest.raises(ReplyRejected, match="its counts of kind add up to 4, not to its 3 rows"):
        spec.check_profile(Profile(counts={"kind": {"even": 4}}), num_examples=3)
    with pytest.raises(ReplyRejected, match="spans of"):
        spec.check_profile(Profile(spans={"age": (1.0, 2.0)}), num_examples=3)


def test_logged_values_are_stored_beside_the_outputs(tmp_path) -> None:
    OUTPUTS.save(tmp_path / "outputs.npz")
    found = Outputs.load(tmp_path / "outputs.npz")
    assert found.logged == OUTPUTS.logged
    assert np.array_equal(found.predictions, OUTPUTS.predictions)
