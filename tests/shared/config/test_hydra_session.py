"""A shared Hydra session: the same configurations and errors as composing each by itself."""

from __future__ import annotations

import os
import shutil

import pytest

from shared.config import hydra_session
from shared.config.compose import compose
from shared.config.hydra_session import HydraSession, composed
from shared.runtime.errors import ConfigError


class Alone(HydraSession):
    """Shares nothing."""

    def composed(self, overrides):
        return composed(overrides)


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
    assert compose(overrides, session=session) == compose(overrides, session=Alone())


@pytest.mark.parametrize(
    "overrides",
    [["federation.num_rouds=3"], ["strategy=fedprxo"], ["trainer.optimizer.lr=fast"], ["strategy.mu=1"]],
)
def test_its_errors_are_the_same(overrides, session):
    with pytest.raises(ConfigError) as alone:
        compose(overrides, session=Alone())
    with pytest.raises(ConfigError) as shared:
        compose(overrides, session=session)
    assert str(shared.value) == str(alone.value)


def test_a_file_that_is_changed_is_read_again(tmp_path, monkeypatch, session):
    folder = tmp_path / "conf"
    shutil.copytree(hydra_session.CONF_DIR, folder)
    monkeypatch.setattr(hydra_session, "CONF_DIR", folder)
    before, _ = session.composed([])
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace(f"\nseed: {before.seed}", "\nseed: 7"))
    later = file.stat().st_mtime_ns + 10**9  # also where the clock of the disk is coarse
    os.utime(file, ns=(later, later))
    assert (before.seed != 7, session.composed([])[0].seed) == (True, 7)


def test_files_of_other_folders_are_read_each_time(tmp_path, session):
    file = tmp_path / "strategy" / "own.yaml"
    file.parent.mkdir()
    for value in (1, 2):
        file.write_text(f"name: own\nvalue: {value}\n")
        cfg, _ = session.composed([f"hydra.searchpath=[file://{tmp_path}]", "strategy=own"])
        assert cfg.strategy.value == value
