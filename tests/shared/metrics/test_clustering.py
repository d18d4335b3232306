"""The metrics of clusters are scikit-learn's, under any weights, and from the sums of clients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from shared.clusters.distances import squared_distances
from shared.metrics import silhouette
from shared.metrics.clustering import ClusterMetrics
from shared.metrics.outputs import Outputs, UnreadableOutputs

Ints = np.ndarray[Any, np.dtype[Any]]
K, D, LABELS = 3, 4, 3


def outputs_of(size: int = 120, *, level: float = 0.0, seed: int = 0) -> Outputs:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, LABELS, size)
    rows = rng.normal(level, 1, (size, D)) + labels[:, None]
    distances = squared_distances(rows, rows[:K] + 0.1)
    return Outputs(np.concatenate([distances, rows], axis=1), labels.astype(np.float64))


def metrics_of(labels: int = LABELS) -> ClusterMetrics:
    return ClusterMetrics(clusters=K, width=D + 2, labels=labels)


def expected(outputs: Outputs) -> dict[str, float]:
    rows, nearest = outputs.predictions[:, K:], outputs.predictions[:, :K].argmin(axis=1)
    return {
        "inertia": outputs.predictions[:, :K].min(axis=1).mean(),
        "silhouette": oracle.silhouette_score(rows, nearest),
        "calinski_harabasz": oracle.calinski_harabasz_score(rows, nearest),
        "adjusted_rand": oracle.adjusted_rand_score(outputs.targets, nearest),
        "mutual_information": oracle.normalized_mutual_info_score(outputs.targets, nearest),
    }


@pytest.mark.parametrize("level", [0.0, 1e5])
def test_they_are_scikit_learns(level: float) -> None:
    outputs = outputs_of(level=level)
    found = metrics_of().values(outputs)
    assert found == pytest.approx(expected(outputs), rel=1e-6 if level else 1e-9)
    assert [*found] == [*metrics_of().names]
    assert [*metrics_of(0).values(outputs)] == ["inertia", "silhouette", "calinski_harabasz"]


def test_rows_are_left_out_and_counted_twice() -> None:
    outputs = outputs_of()
    places = np.concatenate([np.arange(10, 120), np.arange(10, 40)])
    weights = np.stack([np.ones(120), np.bincount(places, minlength=120).astype(float)])
    found = metrics_of().score(outputs, weights)
    for place, own in enumerate((outputs, outputs.of_rows(places))):
        assert {name: values[place] for name, values in found.items()} == pytest.approx(expected(own))


def test_statistics_add_up() -> None:
    outputs, judge = outputs_of(), metrics_of()
    parts = [outputs.of_rows(rows) for rows in np.split(np.arange(120), [30, 50])]
    told = [judge.statistics(part) for part in parts]
    for part, own in zip(parts, told, strict=True):
        judge.check(own, rows=len(part))
        assert {name: array.shape for name, array in own.arrays.items()} == {
            name: layout.shape for name, layout in judge.layout.items()
        }
    found = judge.pooled(told[0] + told[1] + told[2])
    own = [judge.values(part)["silhouette"] for part in parts]
    by_site = float(np.average(own, weights=[len(part) for part in parts]))
    assert found == pytest.approx({**expected(outputs), "silhouette": by_site})


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("rows", 0, 9, "rows is 9, expected 120"),
        ("pairs", (0, 0), 1000, "pairs are of"),
        ("silhouettes", 0, 121, "silhouettes"),
        ("sums", 1, 500.0, "silhouettes"),
        ("sums", 0, -1.0, "negative"),
        ("totals", (0, 0), 1e9, "contradict"),
    ],
)
def test_statistics_that_cannot_be(name: str, place: Any, value: float, message: str) -> None:
    judge = metrics_of()
    told = judge.statistics(outputs_of())
    told.arrays[name][place] = value
    with pytest.raises(ValueError, match=message):
        judge.check(told, rows=120)


def test_what_is_not_defined_is_left_out() -> None:
    one = outputs_of()
    one.predictions[:, 0] = -1.0
    assert [*metrics_of().values(one)] == ["inertia", "adjusted_rand", "mutual_information"]
    alone = outputs_of().of_rows(np.arange(3))  # each row is a cluster
    assert "silhouette" not in metrics_of().values(alone)
    assert metrics_of().pooled(metrics_of().statistics(alone)).keys() == metrics_of().values(alone).keys()


def test_agreement_where_labels_or_clusters_are_one() -> None:
    rows, labels = np.zeros((6, D)), np.array([0.0, 0, 1, 1, 2, 2])
    for nearest, given in (
        (np.zeros(6, int), labels),
        (labels.astype(int), labels * 0),
        (np.zeros(6, int), labels * 0),
    ):
        outputs = Outputs(np.concatenate([1.0 - np.eye(K)[nearest], rows], axis=1), given)
        found = metrics_of().values(outputs)
        assert found["adjusted_rand"] == oracle.adjusted_rand_score(given, nearest)
        assert found["mutual_information"] == oracle.normalized_mutual_info_score(given, nearest)


def test_of_many_rows_silhouettes_are_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = outputs_of(400)
    monkeypatch.setattr(silhouette, "MOST_ROWS", 300)
    some = silhouette.sample_of(400)
    assert len(some) == 300
    assert np.array_equal(some, silhouette.sample_of(400))
    found = metrics_of().values(outputs)["silhouette"]
    assert found == pytest.approx(expected(outputs.of_rows(some))["silhouette"])


def test_the_outputs_are_not_taken_for_classes() -> None:
    with pytest.raises(UnreadableOutputs):
        outputs_of().of_classes()
