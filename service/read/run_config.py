"""The stored config of a run: its settings by name, and its step unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from shared.tracking.rows import RunRow


def unit(run: RunRow) -> Literal["round", "epoch"]:
    """The unit of a run's steps.

    Returns
    -------
    {"round", "epoch"}
    """
    return "round" if run.training_mode == "federated" else "epoch"


def planned_runs(run: RunRow) -> int | None:
    """Number of runs that a comparison will have when it has ended, or of a sweep's trials.

    Returns
    -------
    int or None
        None for other runs, and if the config does not say.
    """
    if run.training_mode == "sweep":
        trials: int | None = setting(run.summary, "sweep.trials")
        return trials
    if run.training_mode != "compare" or "compare" not in run.config:
        return None
    clients = setting(run.config, "federation.num_clients") or 0
    alone = clients if setting(run.config, "compare.local_only") else 0
    tuned = alone if setting(run.config, "compare.fine_tune") else 0
    return len(setting(run.config, "compare.seeds") or (run.seed,)) * (2 + int(alone) + int(tuned))


def setting(config: Any, key: str) -> Any:
    """A setting by its dotted name.

    Returns
    -------
    Any
        None if not set.
    """
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings by dotted name.

    Parameters
    ----------
    prefix : str
        Prepended to the names.
    """
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
