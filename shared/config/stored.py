"""Reads stored snapshots of a configuration: of a run, a checkpoint or a message, of this or an older version.

This is the only module that knows what older versions stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from shared.config.config import Config, validate
from shared.config.section import TARGET

# Settings that were added later, by section ("": sections), with the value that describes the runs from before.
ADDED: Mapping[str, Mapping[str, Any]] = {
    "": {
        "task": {
            "name": "image_classification",
            "_target_": "shared.tasks.image_classification.task.ImageClassification",
        }
    },
    "data": {"split_by": "random"},
    "data.columns": {"time": None, "series": None},
    "trainer": {"compile": False},
    "federation": {
        "engine": "flower",
        "workers": None,
        "rounds_per_epoch": 1,
        "ray_address": None,
        "kit": None,
        "ask_again_s": None,
    },
}

# The classes of the algorithms that were known by their name alone.
TARGETS: Mapping[str, str] = {
    "fedavg": "federated.strategy.fedavg.FedAvg",
    "fedavgm": "federated.strategy.fedavgm.FedAvgM",
    "fedmedian": "federated.strategy.fedmedian.FedMedian",
    "fedprox": "federated.strategy.fedprox.FedProx",
    "fedtrimmedavg": "federated.strategy.fedtrimmedavg.FedTrimmedAvg",
}


def read_snapshot(snapshot: Mapping[str, Any]) -> Config:
    """Check a stored snapshot of this or an older version.

    Parameters
    ----------
    snapshot : mapping
        What `Config.snapshot` returned when it was stored.

    Returns
    -------
    Config
        Without a place for its results: ``tracking`` is never stored.

    Raises
    ------
    ConfigError
        Names every invalid setting, what was expected and what it got.
    """
    return validate(upgrade(snapshot))


def upgrade(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a stored snapshot that has the settings that were added after it was stored."""
    upgraded = deepcopy({**ADDED[""], **snapshot})
    for path, added in ADDED.items():
        *outer, name = path.split(".")
        section = upgraded
        for part in outer:
            section = section[part] if isinstance(section.get(part), dict) else {}
        given = section.get(name)
        if (
            isinstance(given, Mapping) and given.get("source") != "custom"
        ):  # whose keys are the user's arguments
            section[name] = {**added, **given}
    strategy = upgraded.get("strategy")
    if isinstance(strategy, Mapping) and strategy.get("name") in TARGETS:
        upgraded["strategy"] = {TARGET: TARGETS[strategy["name"]], **strategy}
    return upgraded
