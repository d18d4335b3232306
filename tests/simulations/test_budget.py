"""How many training examples the twins see: counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.config.config import Config
from simulations.budget import plan, unequal

EQUAL = [100] * 10
MakeConfig = Callable[..., Config]


def of_ten(make_config: MakeConfig, *overrides: str) -> Config:
    return make_config("federation.num_clients=10", "federation.num_rounds=10", *overrides)


@pytest.mark.parametrize(
    ("overrides", "federated", "epochs"),
    [
        (["federation.local_epochs=2"], 20_000, 20),
        # 1 of 10 by the share, 2 by strategy.min_train: the pooled twin had half of it before.
        (["strategy.fraction_train=0.1", "federation.local_epochs=2"], 4_000, 4),
        (["strategy.fraction_train=0.1", "strategy.min_train=1", "federation.local_epochs=2"], 2_000, 2),
        (["strategy.fraction_train=0.39", "federation.local_epochs=1"], 3_000, 3),  # 3 of 10, not 3.9
        (["strategy.fraction_train=0.3", "federation.local_epochs=1"], 3_000, 3),
        # Two rounds share a pass: each takes a half of a client's rows.
        (["federation.rounds_per_epoch=2", "federation.local_epochs=1"], 5_000, 5),
    ],
)
@pytest.mark.parametrize("sizes", [EQUAL, None])
def test_equal_clients(
    make_config: MakeConfig, overrides: list[str], federated: int, epochs: int, sizes: list[int] | None
) -> None:
    found = plan(of_ten(make_config, *overrides), sizes=sizes, rows=1000)
    assert (found.epochs, found.pooled, found.federated) == (epochs, 1000 * epochs, federated)
    assert found.problem is None


def test_clients_of_different_sizes_by_the_servers_choice(make_config: MakeConfig) -> None:
    cfg = of_ten(
        make_config, "strategy.fraction_train=0.1", "strategy.min_train=1", "federation.local_epochs=1"
    )
    found = [
        plan(cfg.replace("", seed=seed), sizes=[10 * 2**k for k in range(10)], rows=10_230) for seed in (1, 2)
    ]
    assert found[0].federated != found[1].federated  # another seed samples others
    assert all(one.pooled % 10_230 == 0 for one in found)


def test_less_than_one_epoch_is_told(make_config: MakeConfig) -> None:
    cfg = of_ten(make_config, "strategy.fraction_train=0.1", "federation.local_epochs=1").replace(
        "federation", num_rounds=2
    )
    found = plan(cfg, sizes=EQUAL, rows=1000)
    assert (found.epochs, found.pooled, found.federated) == (1, 1000, 400)
    assert found.problem == (
        "the twins do not see the same number of training examples: pooled 1,000 (in whole epochs), federated "
        "400 (-60 %), which is part of the gap"
    )


@pytest.mark.parametrize(
    ("pooled", "federated", "told"),
    [
        (1000, 1000, False),
        (1000, 981, False),
        (1000, 979, True),
        (981, 1000, False),
        (1169, 5878, True),
        (0, 9, False),
    ],
)
def test_two_percent(pooled: int, federated: int, told: bool) -> None:
    assert (unequal(pooled, federated) is not None) == told
