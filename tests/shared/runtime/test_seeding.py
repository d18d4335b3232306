"""Seeds: the same for ever, and different for each purpose."""

from __future__ import annotations

from shared.runtime.seeding import derive_seed


def test_seeds_do_not_change_between_versions():
    # A published run must be repeatable: whoever changes these numbers changes every result.
    assert derive_seed(42, 0, 0) == 7397731226831695469
    assert derive_seed(42, 3, 7) == 1148591787923067568


def test_every_part_of_the_path_matters():
    seeds = {
        derive_seed(seed, partition, epoch)
        for seed in range(10)
        for partition in range(10)
        for epoch in range(10)
    }
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 2, 3) != derive_seed(1, 3, 2)


def test_the_largest_seed_that_the_configuration_takes():
    assert derive_seed(2**32 - 1, 1, 1) != derive_seed(2**32 - 2, 1, 1)
