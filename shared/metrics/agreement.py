"""How far clusters agree with labels, from counts of rows by label and cluster."""

from __future__ import annotations

import numpy as np

from shared.metrics.averages import Floats


def adjusted_rand(pairs: Floats) -> Floats:
    """The Rand index of pairs of rows, less what chance would give (Hubert and Arabie 1985).

    Parameters
    ----------
    pairs : ndarray [R, labels, k], float64
        Rows by label and cluster.

    Returns
    -------
    ndarray [R], float64
        1 where both divide the rows alike, about 0 of chance.
    """
    together = _pairs_of(pairs).sum(axis=(1, 2))
    by_label = _pairs_of(pairs.sum(axis=2)).sum(axis=1)
    by_cluster = _pairs_of(pairs.sum(axis=1)).sum(axis=1)
    every = _pairs_of(pairs.sum(axis=(1, 2)))
    expected = np.divide(by_label * by_cluster, every, out=np.zeros_like(every), where=every > 0)
    most = (by_label + by_cluster) / 2
    # Where both put all rows together, or each row apart, they agree.
    found: Floats = np.divide(
        together - expected, most - expected, out=np.ones_like(every), where=most > expected
    )
    return found


def normalised_mutual_information(pairs: Floats) -> Floats:
    """What labels and clusters tell of each other, by the mean of their entropies (Vinh, Epps and Bailey 2010).

    Parameters
    ----------
    pairs : ndarray [R, labels, k], float64

    Returns
    -------
    ndarray [R], float64
        From 0 to 1; 1 where both put all rows together.
    """
    total = pairs.sum(axis=(1, 2))
    by_label, by_cluster = (_entropy(pairs.sum(axis=axis), total) for axis in (2, 1))
    both = _entropy(pairs.reshape(len(pairs), -1), total)
    mean = (by_label + by_cluster) / 2
    shared = np.clip(by_label + by_cluster - both, 0.0, None)
    tiny = np.finfo(np.float64).eps
    found: Floats = np.divide(shared, mean, out=np.ones_like(total), where=mean > tiny)
    return found


def _pairs_of(counts: Floats) -> Floats:
    return counts * (counts - 1) / 2


def _entropy(counts: Floats, total: Floats) -> Floats:
    shares = counts / total[:, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: Floats = -(shares * logs).sum(axis=1)
    return entropy
