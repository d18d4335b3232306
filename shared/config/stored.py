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
    "trainer": {"compile": False, "test": True},
    "compare": {"metric": None, "fine_tune": 0},
    "federation": {
        "engine": "flower",
        "workers": None,
        "rounds_per_epoch": 1,
        "keep_optimizer": False,
        "max_share": 1.0,
        "max_update_norm": None,
        "ray_address": None,
        "kit": None,
        "ask_again_s": None,
    },
}

# Of `data`, where it is images: 16 bits were divided by 65535, transparency was dropped, and nobody looked for
# duplicates.
ADDED_OF_IMAGES: Mapping[str, Any] = {
    "levels": [0.0, 65535.0],
    "transparent": "ignore",
    "max_image_pixels": 89478485,
    "max_image_side": 250000,
    "max_image_bytes": 268435456,
    "max_image_ratio": 200.0,
    "max_rows": 3000000,
    "max_columns": 20000,
    "max_table_bytes": 4294967296,
    "max_table_ratio": 10.0,
    "duplicates": "ignore",
    "near_duplicates": None,
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


def read_for_resume(snapshot: Mapping[str, Any], *, written_as: Mapping[str, Any]) -> Config:
    """Check the snapshot of a run that goes on, in which a setting means what it meant when the run began.

    Parameters
    ----------
    snapshot : mapping
        Upgraded, and perhaps changed.
    written_as : mapping
        As it was stored.

    Raises
    ------
    ConfigError
    """
    cfg = read_snapshot(snapshot)
    # Before `partition.seed=null`, a seed equal to the run's meant that it follows the seeds of a comparison.
    earlier = "keep_optimizer" not in (written_as.get("federation") or {})
    if earlier and cfg.partition.seed == cfg.seed:
        cfg = cfg.replace("partition", seed=None)
    return cfg


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
    data = upgraded.get("data")
    if isinstance(data, Mapping) and data.get("source") not in ("custom", "rows", "table", "sql"):
        upgraded["data"] = {**ADDED_OF_IMAGES, **data}
    strategy = upgraded.get("strategy")
    if isinstance(strategy, Mapping) and strategy.get("name") in TARGETS:
        upgraded["strategy"] = {TARGET: TARGETS[strategy["name"]], **strategy}
    return upgraded
