"""Seeds of everything random, derived from the run's one seed so that both modes draw the same numbers."""

from __future__ import annotations

import numpy as np


def derive_seed(seed: int, *path: int) -> int:
    """A seed for one purpose, independent of those of all others.

    Parameters
    ----------
    seed : int
        The run's seed.
    *path : int
        What it is for, such as (partition, epoch); non-negative.

    Returns
    -------
    int
        In [0, 2**63).
    """
    state = np.random.SeedSequence([seed, *path]).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])
