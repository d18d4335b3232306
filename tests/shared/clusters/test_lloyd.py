"""k-means by questions is scikit-learn's on the pooled rows, whichever clients hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans

from shared.clusters.client import ClientRows
from shared.clusters.distances import BLOCK, squared_distances
from shared.clusters.messages import Arrays, Question
from shared.clusters.races import races, row_keys
from shared.clusters.server import Centroids, Lloyd
from shared.runtime.errors import ClustersError
from shared.sums.exact import MOST, exponents_of, shifts_for, whole_sums

Floats = np.ndarray[Any, np.dtype[np.float64]]


def rows_of(seed: int = 0, size: int = 400, width: int = 5) -> Floats:
    rng = np.random.default_rng(seed)
    middles = rng.normal(0, 3, (4, width))
    return middles[rng.integers(0, 4, size)] + rng.normal(0, 1, (size, width))


class Clients:
    """Rows that several clients hold."""

    def __init__(self, parts: Sequence[Floats], change: Callable[[Question, Arrays], Arrays] | None = None):
        self.clients = {f"client {place}": ClientRows(part) for place, part in enumerate(parts)}
        self.kinds: list[str] = []
        self.change = change

    def ask(self, question: Question) -> dict[str, Arrays]:
        self.kinds.append(question.kind)
        question = Question.from_arrays(question.kind, question.to_arrays())
        found = {name: client.answer(question) for name, client in self.clients.items()}
        if self.change:
            found["client 0"] = self.change(question, found["client 0"])
        for answer in found.values():
            shapes = {name: (array.shape, str(array.dtype)) for name, array in answer.items()}
            assert self.change or shapes == question.answers()
        return found


def none(clusters: int, width: int) -> Centroids:
    return Centroids(np.zeros((clusters, width)), np.zeros(clusters, dtype=np.int64))


def trained(parts: Sequence[Floats], *, clusters: int, iterations: int = 20, seed: int = 1) -> Centroids:
    server, clients = Lloyd(seed=seed), Clients(parts)
    found = none(clusters, parts[0].shape[1])
    for _ in range(iterations):
        found = server.iterate(found, clients.ask)
    return found


def test_it_is_scikit_learns_from_the_same_start() -> None:
    rows = rows_of()
    parts = np.split(rows, [200, 330, 390])
    start = Lloyd(seed=1).start(none(4, 5), Clients(parts).ask)
    for iterations in (1, 3, 50):
        found = trained(parts, clusters=4, iterations=iterations)
        settings = {"n_init": 1, "max_iter": iterations, "tol": 0, "algorithm": "lloyd"}
        expected = KMeans(4, init=start, **settings).fit(rows)
        assert np.abs(found.places - expected.cluster_centers_).max() < 1e-9
    own = squared_distances(rows, found.places)
    assert np.array_equal(own.argmin(axis=1), expected.labels_)
    assert own.min(axis=1).sum() == pytest.approx(expected.inertia_, rel=1e-12)
    assert np.array_equal(found.sizes, np.bincount(expected.labels_))


def test_the_shares_and_the_order_of_rows_change_no_bit() -> None:
    rows = rows_of(size=BLOCK + 300, width=3)
    pooled = trained([rows], clusters=5)
    shuffled = np.random.default_rng(0).permutation(rows)
    for parts in ([shuffled], np.split(shuffled, [1, 40, 5000]), [rows[:0], rows]):
        own = trained(parts, clusters=5)
        assert own.places.tobytes() == pooled.places.tobytes()
        assert np.array_equal(own.sizes, pooled.sizes)


def test_a_row_is_drawn_by_its_weight() -> None:
    keys = row_keys(np.arange(4.0)[:, None])
    weights = np.array([0.0, 1.0, 2.0, 5.0])
    drawn = np.array([races(keys, weights, seed=seed, draw=1).argmin() for seed in range(4000)])
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    assert shares == pytest.approx(weights / weights.sum(), abs=0.03)
    assert row_keys(np.array([[-0.0]])) == row_keys(np.array([[0.0]]))
    assert len(set(row_keys(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]])).tolist())) == 3


def test_the_start_is_of_rows_far_from_each_other() -> None:
    rows = np.repeat(np.eye(3) * 100, 50, axis=0) + np.random.default_rng(0).normal(0, 0.01, (150, 3))
    for seed in range(20):
        start = Lloyd(seed=seed).start(none(3, 3), Clients([rows]).ask)
        assert sorted(start.argmax(axis=1)) == [0, 1, 2]
        assert all((row == rows).all(axis=1).any() for row in start)


@pytest.mark.parametrize(
    ("rows", "there"), [(np.ones((9, 2)), "is only 1"), (np.eye(3)[[0, 1, 1]], "are only 2")]
)
def test_fewer_different_rows_than_clusters(rows: Floats, there: str) -> None:
    with pytest.raises(
        ClustersError, match=f"3 clusters need as many different training rows, and there {there}"
    ):
        trained([rows], clusters=3)
    assert trained([rows], clusters=1).sizes.tolist() == [len(rows)]


def test_a_centroid_without_rows_stays_where_it_is() -> None:
    rows = np.array([[0.0], [1.0], [10.0]])
    before = Centroids(np.array([[0.0], [10.0], [99.0]]), np.array([2, 1, 1]))
    after = Lloyd(seed=0).iterate(before, Clients(np.split(rows, [1])).ask)
    assert after.places[:, 0].tolist() == [0.5, 10.0, 99.0]
    assert after.sizes.tolist() == [2, 1, 0]


def test_nothing_is_asked_when_no_row_changes_its_cluster() -> None:
    clients, server = Clients([rows_of(size=60)]), Lloyd(seed=0)
    found = none(2, 5)
    for _ in range(30):
        found = server.iterate(found, clients.ask)
    asked = len(clients.kinds)
    assert server.iterate(found, clients.ask) is found
    assert len(clients.kinds) == asked < 2 + 4 + 30
    resumed = Lloyd(seed=0).iterate(found, clients.ask)  # a server that knows the centroids alone
    assert resumed.places.tobytes() == found.places.tobytes()


def test_sums_are_exact_to_the_stated_step() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(1e6, 1, 1000), rng.normal(0, 1e-9, 1000), np.zeros(1000)], axis=1)
    exponents = exponents_of(rows)
    assert exponents[0] == 20
    shifts = shifts_for(exponents, rows=1000)
    sums = whole_sums(rows, np.zeros(1000, dtype=np.intp), shifts, clusters=1)
    found = np.ldexp(sums[0] / 1000, -shifts.astype(np.int32))
    assert np.abs(found - rows.mean(axis=0)).max() < 1e-9
    assert abs(found[1] - rows[:, 1].mean()) < 1e-24
    assert exponents_of(np.full((1, 1), 1e200))[0] > MOST


def changed(kind: str, **arrays: Any) -> Callable[[Question, Arrays], Arrays]:
    def change(question: Question, answer: Arrays) -> Arrays:
        if question.kind != kind:
            return answer
        return {**answer, **{name: np.asarray(own(answer[name])) for name, own in arrays.items()}}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("scale", rows=lambda own: -own), "client 0: expected 0 to"),
        (changed("scale", exponents=lambda own: own + 900), "magnitudes"),
        (changed("race", time=lambda own: own * 0), "a time above 0"),
        (changed("sums", counts=lambda own: own - 200), "client 0: expected counts of rows, got -"),
        (
            changed("sums", counts=lambda own: own + 1),
            "client 0: expected counts by cluster of 200 rows, got 20",
        ),
        (changed("sums", sums=lambda own: own * 0 + 2**62), "larger than its rows allow"),
    ],
)
def test_answers_that_cannot_be_true(change: Callable[[Question, Arrays], Arrays], message: str) -> None:
    clients = Clients(np.split(rows_of(), 2), change)
    with pytest.raises(ClustersError, match=message):
        Lloyd(seed=0).iterate(none(3, 5), clients.ask)


@pytest.mark.parametrize(
    ("kind", "arrays"),
    [
        ("rows", {}),
        ("race", {"centroids": np.zeros(3)}),
        ("race", {"centroids": np.full((1, 2), np.nan)}),
        ("sums", {"shifts": np.zeros(1, dtype=np.int64)}),
        ("sums", {"shifts": np.full(2, 10**9)}),
        ("row", {"time": np.zeros(2)}),
        ("row", {"seed": np.zeros(1)}),
        ("row", {"more": np.zeros(1)}),
    ],
)
def test_what_is_no_question(kind: str, arrays: dict[str, Any]) -> None:
    known = Question("race", np.zeros((1, 2))).to_arrays()
    with pytest.raises(ClustersError, match=kind):
        Question.from_arrays(kind, {**known, **arrays})


def test_a_question_about_other_columns() -> None:
    with pytest.raises(ClustersError, match="about 3 columns, and the rows have 2"):
        ClientRows(np.zeros((4, 2))).answer(Question("race", np.zeros((0, 3))))
