"""A shared Hydra session: the same configurations and errors as composing each by itself."""

from __future__ import annotations

import pytest

from shared.config.compose import compose
from shared.config.hydra_session import HydraSession
from shared.runtime.errors import ConfigError


@pytest.fixture(scope="module")
def session() -> HydraSession:
    return HydraSession()


@pytest.mark.parametrize(
    "overrides",
    [
        ["strategy=fedprox", "strategy.proximal_mu=0.1", "seed=3"],
        ["strategy=fedprox", "strategy.proximal_mu=1"],  # nothing is left of the one before
        ["strategy=fedprox"],
        ["trainer.optimizer.lr=0.5", "model.widths=[1,2]", "trainer.scheduler={name:cosine}", "name=mine"],
        ["++trainer.optimizer.lr=0.5", "model=mlp", "data=npz", "data.path=/a/b c.npz"],
        ["data.name=other", "description=a b"],
    ],
)
def test_it_composes_what_composing_alone_does(overrides, session):
    assert compose(overrides, session=session) == compose(overrides)


@pytest.mark.parametrize(
    "overrides",
    [["federation.num_rouds=3"], ["strategy=fedprxo"], ["trainer.optimizer.lr=fast"], ["strategy.mu=1"]],
)
def test_its_errors_are_the_same(overrides, session):
    with pytest.raises(ConfigError) as alone:
        compose(overrides)
    with pytest.raises(ConfigError) as shared:
        compose(overrides, session=session)
    assert str(shared.value) == str(alone.value)
