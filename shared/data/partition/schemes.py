"""The schemes that assign units (rows, or whole groups) to clients, chosen by ``partition.name``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.data.partition.units import Ints, cut, deal, top_up
from shared.runtime.errors import PartitionError

MAX_DRAWS = 20  # of a random scheme before its best effort is repaired or given up
MAX_ALPHA = 1e6  # shares are equal to three digits from here on, and gamma draws overflow long after


def iid(
    strata: Ints, *, num_partitions: int, seed: int, min_examples: int = 1, weights: Ints | None = None
) -> Ints:
    """Uniformly at random, in shares of equal size.

    Parameters
    ----------
    strata : NDArray [U], int64
        Label of each unit; not looked at.
    num_partitions : int
        Clients, C.
    min_examples : int
        Training rows that every client must get.
    weights : NDArray [U], int64, optional
        Training rows of each unit; one each unless given.

    Returns
    -------
    NDArray [U], int64
        The client of each unit. Sizes differ by one row at most if units are rows.

    Raises
    ------
    PartitionError
        There are too few rows or groups.
    """
    weights = checked_weights(strata, weights, num_partitions=num_partitions, min_examples=min_examples)
    rng = np.random.default_rng(seed)
    order = shuffled(weights, rng=rng)
    owner = _dealt(order, weights=weights, targets=np.ones(num_partitions))
    return top_up(owner, weights=weights, num_partitions=num_partitions, minimum=min_examples, rng=rng)


def stratified(
    strata: Ints, *, num_partitions: int, seed: int, min_examples: int = 1, weights: Ints | None = None
) -> Ints:
    """In shares of equal size, each with the stratum distribution of the whole.

    Parameters
    ----------
    strata, num_partitions, seed, min_examples, weights
        As for `iid`; the strata are looked at.

    Returns
    -------
    NDArray [U], int64
        The client of each unit. Sizes and the counts of each stratum differ by one at most if units are rows.

    Raises
    ------
    PartitionError
        There are too few rows or groups.
    """
    return quantity(
        strata, num_partitions=num_partitions, sigma=0.0, seed=seed, min_examples=min_examples, weights=weights
    )


def quantity(
    strata: Ints,
    *,
    num_partitions: int,
    sigma: float,
    seed: int,
    min_examples: int = 1,
    weights: Ints | None = None,
) -> Ints:
    """In shares of lognormal size, each with the stratum distribution of the whole.

    Parameters
    ----------
    strata, num_partitions, seed, min_examples, weights
        As for `stratified`.
    sigma : float
        Standard deviation of the logarithm of a client's size; 0: equal sizes.

    Returns
    -------
    NDArray [U], int64
        The client of each unit.

    Raises
    ------
    PartitionError
        There are too few rows or groups.
    """
    weights = checked_weights(strata, weights, num_partitions=num_partitions, min_examples=min_examples)
    rng = np.random.default_rng(seed)
    logarithms = sigma * rng.standard_normal(num_partitions)
    targets = np.exp(logarithms - logarithms.max())  # only ratios matter; without the shift exp may overflow
    order = shuffled(weights, rng=rng)
    order = order[np.argsort(strata[order], kind="stable")]  # like cards: sorted by stratum, then dealt round
    owner = _dealt(order, weights=weights, targets=targets)
    return top_up(owner, weights=weights, num_partitions=num_partitions, minimum=min_examples, rng=rng)


def dirichlet(
    strata: Ints,
    *,
    num_partitions: int,
    alpha: float,
    seed: int,
    min_examples: int = 1,
    weights: Ints | None = None,
) -> Ints:
    """Label skew: each stratum is divided among the clients in shares that are drawn from Dirichlet(alpha).

    This is the form of Yurochkin et al. and Li et al., one draw of C shares a stratum. In the other common form
    (Hsu et al.) each client of a fixed size draws a distribution over the K strata and is filled until the
    strata run out, so that with 4 to 10 clients the last ones get what the others left over. Here no client is
    special, every row is used by construction, and the same shares serve training and validation rows. A
    client's stratum distribution is close to Dirichlet(alpha) in this form, too: normalised, independent Gamma
    draws are Dirichlet (exactly so for equally frequent strata and many clients). Sizes differ as well.

    If a client gets too few rows, the shares are drawn again, up to 20 times; then rows move from the largest.

    Parameters
    ----------
    strata, num_partitions, seed, min_examples, weights
        As for `stratified`.
    alpha : float
        Concentration, above 0. Small: each stratum is with few clients; large: as `stratified`.

    Returns
    -------
    NDArray [U], int64
        The client of each unit.

    Raises
    ------
    PartitionError
        There are too few rows or groups.

    References
    ----------
    Yurochkin et al., Bayesian Nonparametric Federated Learning of Neural Networks, ICML 2019.
    Li, Diao, Chen, He, Federated Learning on Non-IID Data Silos: An Experimental Study, ICDE 2022.
    Hsu, Qi, Brown, Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification, arXiv:1909.06335, 2019.
    """
    weights = checked_weights(strata, weights, num_partitions=num_partitions, min_examples=min_examples)
    rng = np.random.default_rng(seed)
    ends = np.cumsum(np.unique(strata, return_counts=True)[1])
    concentration = np.full(num_partitions, min(alpha, MAX_ALPHA))
    owner = np.empty(len(strata), dtype=np.int64)
    for _ in range(MAX_DRAWS):
        order = rng.permutation(len(strata))
        order = order[np.argsort(strata[order], kind="stable")]
        for units in np.split(order, ends[:-1]):
            owner[units] = cut(weights[units], shares=rng.dirichlet(concentration))
        if rows_of_clients(owner, weights=weights, num_partitions=num_partitions).min() >= min_examples:
            break
    return top_up(owner, weights=weights, num_partitions=num_partitions, minimum=min_examples, rng=rng)


def checked_weights(strata: Ints, weights: Ints | None, *, num_partitions: int, min_examples: int) -> Ints:
    """Check that there are enough training rows and groups for all clients.

    Parameters
    ----------
    strata : NDArray [U], int64
    weights : NDArray [U], int64, or None
        Training rows of each unit.

    Returns
    -------
    NDArray [U], int64
        The weights; ones if there were none.

    Raises
    ------
    PartitionError
    """
    assert num_partitions >= 1, num_partitions
    assert min_examples >= 1, min_examples
    rows = np.ones(len(strata), dtype=np.int64) if weights is None else weights
    assert len(rows) == len(strata), (len(rows), len(strata))
    need, got = num_partitions * min_examples, int(rows.sum())
    if got < need:
        raise PartitionError(
            f"{num_partitions} clients with partition.min_examples={min_examples} need {need} training rows, "
            f"got {got}; lower federation.num_clients or partition.min_examples"
        )
    if len(rows) < num_partitions:
        raise PartitionError(
            f"{num_partitions} clients need as many groups (such as patients) with training rows, got "
            f"{len(rows)}; lower federation.num_clients"
        )
    return rows


def shuffled(weights: Ints, *, rng: np.random.Generator) -> Ints:
    """Put units into random order, but large groups first, so that small ones even out the clients' sizes.

    Parameters
    ----------
    weights : NDArray [U], int64
        Rows of each unit.

    Returns
    -------
    NDArray [U], int64
        Numbers of the units.
    """
    order = rng.permutation(len(weights))
    return order[np.argsort(-weights[order], kind="stable")]


def _dealt(order: Ints, *, weights: Ints, targets: NDArray[np.float64]) -> Ints:
    owner = np.empty(len(order), dtype=np.int64)
    owner[order] = deal(weights[order], targets=targets)
    return owner


def rows_of_clients(owner: Ints, *, weights: Ints, num_partitions: int) -> Ints:
    """Count each client's rows.

    Parameters
    ----------
    owner : NDArray [U], int64
        The client of each unit.
    weights : NDArray [U], int64
        Rows of each unit.
    num_partitions : int
        C.

    Returns
    -------
    NDArray [C], int64
    """
    return np.bincount(owner, weights=weights, minlength=num_partitions).astype(np.int64)
