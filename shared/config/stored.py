"""Reads stored snapshots of a configuration: of a run, a checkpoint or a message, of this or an older version.

This is the only module that knows what older versions stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.config.config import Config, validate

# Settings that were added later, by section, with the value that describes the runs from before.
ADDED: Mapping[str, Mapping[str, Any]] = {
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
        Names every setting that is wrong, what was expected and what came.
    """
    return validate(upgrade(snapshot))


def upgrade(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a stored snapshot that has the settings that were added after it was stored."""
    upgraded = dict(snapshot)
    for section, added in ADDED.items():
        given = upgraded.get(section)
        if isinstance(given, Mapping):
            upgraded[section] = {**added, **given}
    return upgraded
