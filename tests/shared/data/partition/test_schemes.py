"""The schemes, by arithmetic and by the moments of their distributions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.data.partition.partition import dirichlet, iid, natural, pathological, quantity, stratified
from shared.runtime.errors import PartitionError


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def table(owner: NDArray[np.int64], labels: NDArray[np.int64], clients: int) -> list[list[int]]:
    """Units of each client and label."""
    return [np.bincount(labels[owner == c], minlength=int(labels.max()) + 1).tolist() for c in range(clients)]


def test_iid_sizes_differ_by_one_at_most() -> None:
    owner = iid(np.zeros(11, dtype=np.int64), num_partitions=4, seed=0)
    assert np.bincount(owner).tolist() == [3, 3, 3, 2]


def test_iid_is_random() -> None:
    labels = np.zeros(1000, dtype=np.int64)
    first, second = (iid(labels, num_partitions=2, seed=seed) for seed in (0, 1))
    assert 400 < (first == second).sum() < 600  # 500 +- 6 standard deviations
    assert 180 < (first[:500] == 0).sum() < 320


def test_iid_evens_out_patients_of_different_size() -> None:
    weights = ints(1, 5, 2, 4, 3, 3)  # 5 | 4, 3 + 3, ... : 9 rows each, whatever the order of equals
    owner = iid(np.zeros(6, dtype=np.int64), num_partitions=2, seed=0, weights=weights)
    assert np.bincount(owner, weights=weights).tolist() == [9, 9]


def test_stratified_keeps_the_label_distribution() -> None:
    labels = np.repeat(ints(0, 1, 2), [40, 20, 8])
    owner = stratified(labels, num_partitions=4, seed=0)
    assert table(owner, labels, 4) == [[10, 5, 2]] * 4


def test_stratified_spreads_remainders() -> None:
    labels = np.repeat(np.arange(10), 3)  # 3 rows of each class for 2 clients: 15 rows each, not 20 and 10
    counts = np.array(table(stratified(labels, num_partitions=2, seed=0), labels, 2))
    assert counts.sum(axis=1).tolist() == [15, 15]
    assert set(counts.ravel()) == {1, 2}


def test_quantity_has_lognormal_sizes_and_equal_distributions() -> None:
    labels = np.repeat(ints(0, 1), [30_000, 10_000])
    counts = np.array(table(quantity(labels, num_partitions=200, sigma=0.5, seed=0), labels, 200))
    sizes = counts.sum(axis=1)
    assert np.std(np.log(sizes)) == pytest.approx(0.5, abs=0.1)
    assert np.abs(counts[:, 1] - sizes / 4).max() <= 1


def test_quantity_without_spread_is_stratified_and_with_endless_spread_keeps_the_minimum() -> None:
    labels = np.repeat(ints(0, 1), 50)
    calm = quantity(labels, num_partitions=5, sigma=0.0, seed=3)
    assert calm.tolist() == stratified(labels, num_partitions=5, seed=3).tolist()
    wild = quantity(labels, num_partitions=5, sigma=1e6, seed=3, min_examples=4)
    assert sorted(np.bincount(wild)) == [4, 4, 4, 4, 84]


def test_dirichlet_with_a_large_alpha_is_even() -> None:
    labels = np.repeat(ints(0, 1), [400, 80])
    for alpha in (1e6, float("inf")):
        counts = np.array(table(dirichlet(labels, num_partitions=4, alpha=alpha, seed=0), labels, 4))
        assert np.abs(counts - [100, 20]).max() <= 1


@pytest.mark.parametrize("alpha", [1e-300, 1e-3])
def test_dirichlet_with_a_small_alpha_gives_a_class_to_one_client(alpha: float) -> None:
    labels = np.repeat(np.arange(3), 100)
    counts = np.array(table(dirichlet(labels, num_partitions=2, alpha=alpha, seed=0), labels, 2))
    assert sorted(counts.max(axis=0)) == [100, 100, 100]


def test_dirichlet_repairs_what_draws_cannot_give() -> None:
    labels = np.zeros(100, dtype=np.int64)  # one class, and with this alpha one client that has it
    owner = dirichlet(labels, num_partitions=4, alpha=1e-3, seed=0, min_examples=5)
    assert sorted(np.bincount(owner)) == [5, 5, 5, 85]


def test_dirichlet_shares_have_the_moments_of_their_distribution() -> None:
    # A client's share of a class is Beta(a, (C - 1) a): mean 1/C, variance (C - 1) / (C^2 (C a + 1)).
    labels = np.repeat(np.arange(500), 200)
    counts = np.array(table(dirichlet(labels, num_partitions=5, alpha=0.5, seed=0), labels, 5)) / 200
    assert counts.mean(axis=1) == pytest.approx(0.2, abs=0.04)
    assert counts.var() == pytest.approx(4 / (25 * 3.5), rel=0.1)


def test_dirichlet_gives_each_client_label_distributions_of_that_name() -> None:
    # The claim of its docstring: over clients, the share of a label within a client is Beta(a, (K - 1) a).
    labels = np.repeat(np.arange(4), 50_000)
    counts = np.array(table(dirichlet(labels, num_partitions=400, alpha=0.5, seed=0), labels, 400))
    inside = counts / counts.sum(axis=1, keepdims=True)
    assert inside.var() == pytest.approx(3 / (16 * 3.0), rel=0.1)


def test_pathological_gives_each_client_its_number_of_classes() -> None:
    labels = np.repeat(np.arange(10), 20)  # 10 clients x 2 shards: 2 shards of 10 rows for each class
    counts = np.array(table(pathological(labels, num_partitions=10, classes_per_client=2, seed=0), labels, 10))
    assert ((counts > 0).sum(axis=1) == 2).all()
    assert set(counts.ravel()) == {0, 10}


def test_pathological_cuts_large_classes_into_more_shards() -> None:
    labels = np.repeat(ints(0, 1), [30, 70])
    counts = np.array(table(pathological(labels, num_partitions=10, classes_per_client=1, seed=0), labels, 10))
    assert sorted(map(tuple, counts)) == [(0, 10)] * 7 + [(10, 0)] * 3


def test_pathological_needs_clients_for_all_classes_and_classes_for_all_clients() -> None:
    labels = np.repeat(np.arange(5), 4)
    with pytest.raises(PartitionError, match=r"take 4 classes at most, got 5; raise federation.num_clients"):
        pathological(labels, num_partitions=2, classes_per_client=2, seed=0)
    with pytest.raises(PartitionError, match=r"must be at most 5, .* got 6"):
        pathological(labels, num_partitions=2, classes_per_client=6, seed=0)
    with pytest.raises(PartitionError, match=r"of 3 classes each, 36 in all, but the classes allow only 20"):
        pathological(labels, num_partitions=12, classes_per_client=3, seed=0)
    with pytest.raises(PartitionError, match=r"partition.min_examples=3 training rows of exactly 1 classes"):
        pathological(
            np.repeat(ints(0, 1), [2, 10]), num_partitions=4, classes_per_client=1, seed=0, min_examples=3
        )


def test_natural_is_sorted_by_value() -> None:
    assert natural(np.array(["b", "a", "c", "a"]), num_partitions=3, column="site").tolist() == [1, 0, 2, 0]


def test_natural_lists_what_does_not_fit() -> None:
    sites = np.array(["b", "a", "a"])
    with pytest.raises(
        PartitionError, match=r"expected 3 values .* got 2; set federation.num_clients=2"
    ) as error:
        natural(sites, num_partitions=3, column="site", weights=ints(0, 1, 0))
    assert str(error.value).endswith("  - a: 2 rows, 1 for training\n  - b: 1 row, 0 for training")
    with pytest.raises(
        PartitionError, match=r"min_examples=1 training rows or more, but 1 have fewer"
    ) as error:
        natural(sites, num_partitions=2, column="site", weights=ints(0, 1, 0))
    assert str(error.value).endswith("\n  - b: 1 row, 0 for training")
    with pytest.raises(PartitionError, match=r"'site' in every row, but 1 train and val rows have none"):
        natural(np.array(["a", " "]), num_partitions=1, column="site")
    with pytest.raises(PartitionError, match=r"got 1 patients with several values of 'site'") as error:
        natural(sites, num_partitions=2, column="site", groups=ints(8, 8, 9))
    assert str(error.value).endswith("\n  - patient 8: a, b")
