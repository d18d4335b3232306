"""Snapshots that older versions stored are read; what they lack gets the value that describes those runs."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest

from shared.config.compose import compose
from shared.config.stored import ADDED, ADDED_OF_IMAGES, read_snapshot, upgrade
from shared.runtime.errors import ConfigError

V0_1 = Path(__file__).parent / "snapshots" / "v0.1.json"
LATER = {
    "data": {"split_by"},
    "data.columns": {"time", "series"},
    "trainer": {"compile"},
    "federation": {"engine", "workers", "rounds_per_epoch", "ray_address", "kit", "ask_again_s"},
}


@pytest.fixture
def v0_1():
    """The snapshot of a comparison of version 0.1."""
    return json.loads(V0_1.read_text())


@pytest.fixture
def first(v0_1):
    """The same from before the first setting was added."""
    for section, names in LATER.items():
        for name in names:
            reduce(getitem, section.split("."), v0_1).pop(name, None)  # it came after version 0.1
    return v0_1


def test_a_snapshot_of_version_0_1_is_read_with_the_values_that_it_holds(v0_1):
    read = read_snapshot(deepcopy(v0_1)).snapshot()
    assert common(read, v0_1) == v0_1


def common(found, wanted):
    """What two nested settings both name, with the values of the first."""
    if not isinstance(wanted, dict):
        return found
    return {name: common(found[name], value) for name, value in wanted.items()}


def test_a_snapshot_from_before_the_first_added_setting_describes_the_run_that_it_was(first):
    cfg = read_snapshot(first)
    federation = cfg.federation
    assert (federation.engine, federation.workers, federation.rounds_per_epoch) == ("flower", None, 1)
    assert (federation.ray_address, federation.kit, federation.ask_again_s) == (None, None, None)
    assert cfg.trainer.compile is False
    assert cfg.trainer.max_epochs == 2
    assert (cfg.data.split_by, cfg.data.columns.time, cfg.data.columns.series) == ("random", None, None)


def test_a_value_that_was_stored_wins_over_the_added_one(v0_1):
    v0_1["trainer"]["compile"] = True
    v0_1["federation"]["rounds_per_epoch"] = 2
    v0_1["federation"]["local_epochs"] = 1
    cfg = read_snapshot(v0_1)
    assert cfg.trainer.compile
    assert cfg.federation.rounds_per_epoch == 2


def test_upgrading_leaves_the_given_snapshot_as_it_was(first):
    before = deepcopy(first)
    upgraded = upgrade(first)
    assert first == before
    assert upgrade(upgraded) == upgraded


def test_what_was_never_optional_is_missed(first):
    del first["trainer"]["optimizer"]
    del first["compare"]
    with pytest.raises(ConfigError) as caught:
        read_snapshot(first)
    assert "trainer.optimizer: expected settings of its own" in str(caught.value)
    assert "compare: expected settings of its own" in str(caught.value)


def test_every_added_setting_is_one_of_todays():
    today = compose().snapshot()
    for section, added in ADDED.items():
        assert added.keys() <= reduce(getitem, filter(None, section.split(".")), today).keys()


def test_images_of_older_runs_are_read_as_they_were() -> None:
    snapshot = compose(["data=digits"]).snapshot()
    for name in ADDED_OF_IMAGES:
        del snapshot["data"][name]
    assert read_snapshot(snapshot).images.levels == (0, 65535)
