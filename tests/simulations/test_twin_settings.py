"""Settings that only one twin would follow: refused by name, or told before training."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from shared.config.config import Config
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.budget import Budget
from simulations.execute import execute
from simulations.twin_settings import describe, warn_one_sided

MakeConfig = Callable[..., Config]


@pytest.mark.parametrize(
    ("override", "says", "modes"),
    [
        ("trainer.ema_decay=0.9", "trainer.ema_decay=0.9 averages the weights of pooled training only", 2),
        ("resume=some.ckpt", "resume=some.ckpt continues pooled training only", 2),
        ("trainer.devices=2", "trainer.devices=2: a client trains on one device", 2),
        ("trainer.devices=[0,1]", "trainer.devices=[0, 1]: a client trains on one device", 2),
        ("federation.early_stopping=true", "federation.early_stopping=true ends the federated twin alone", 1),
    ],
)
def test_refused_before_anything_is_trained(
    override: str, says: str, modes: int, make_config: MakeConfig, store: Store, home: Home
) -> None:
    cfg = make_config(override)
    for mode in ("compare", "federated")[:modes]:
        with pytest.raises(ConfigError, match=re.escape(says)):
            execute(cfg, mode, store=store, home=home)  # type: ignore[arg-type]
    assert store.runs.search() == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["trainer.scheduler.name=plateau", "federation.local_epochs=2"], 1),
        (["trainer.scheduler.name=plateau", "federation.local_epochs=1"], 0),  # a round is an epoch
        (["trainer.scheduler.name=cosine", "federation.local_epochs=2"], 0),
    ],
)
def test_a_plateau_counts_epochs_and_rounds(make_config: MakeConfig, overrides: list[str], told: int) -> None:
    found = warn_one_sided(make_config(*overrides))
    assert len(found) == told
    assert not told or "patience=3 counts epochs in the pooled twin and rounds in the federated one" in found[0]


def test_what_will_be_trained_is_told(make_config: MakeConfig) -> None:
    cfg = make_config("federation.num_rounds=10", "federation.local_epochs=2", "trainer.max_epochs=7")
    assert describe(cfg, Budget(20, pooled=2000, federated=2000)) == (
        "pooled: 20 epochs, 2,000 training examples; federated: 10 rounds of 2 local epochs, 2,000 training "
        "examples (trainer.max_epochs=7 and trainer.early_stopping are not used)"
    )
