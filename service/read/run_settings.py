"""The settings in which runs of a list differ: for its columns and groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from service.read.run_config import flat
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import RunRow

MOST_SETTINGS_OF = 1000  # runs
_TOLD = {"name", "description"}  # are columns anyway


def differing_settings(runs: Sequence[RunRow]) -> dict[str, Any]:
    """Settings that do not have the same value in all of some runs.

    Returns
    -------
    dict
        See `service.read.schemas.DifferingSettings`; lists are written as JSON.
    """
    configs = {run.id: dict(flat(without_secrets(run.as_dict()["config"]))) for run in runs}
    keys = dict.fromkeys(key for config in configs.values() for key in config if key not in _TOLD)
    found = {}
    for key in keys:
        values = {run_id: _plain(config.get(key)) for run_id, config in configs.items()}
        if len(set(map(repr, values.values()))) > 1:
            found[key] = values
    return {"settings": found}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else json.dumps(value)
