"""What a run left beside its metrics: its log, its use of the machine, settings that are not the defaults."""

from __future__ import annotations

from dataclasses import astuple, fields
from functools import cache
from typing import Any

from service.read.run_config import flat
from shared.config.stored import upgrade
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.resources import RESOURCES_FILE, Sample, read_resources
from shared.tracking.rows import RunRow
from shared.tracking.run_log import LOG_FILE

MOST_LOG = 200_000  # bytes
MOST_SAMPLES = 1000


def kept_files(home: Home, run: RunRow) -> list[str]:
    """Which of ``log`` and ``resources`` a run has on this machine."""
    names = {"log": LOG_FILE, "resources": RESOURCES_FILE}
    return [kind for kind, name in names.items() if (home.run_dir(run.id) / name).is_file()]


def log_tail(home: Home, run: RunRow) -> str | None:
    """The end of a run's log, from the beginning of a line; None where there is none."""
    path = home.run_dir(run.id) / LOG_FILE
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_LOG))
            content = file.read()
    except OSError:
        return None
    if size > MOST_LOG:
        content = content.partition(b"\n")[2]
    return "\n".join(str(without_secrets(line)) for line in content.decode("utf-8", "replace").split("\n"))


def resource_columns(home: Home, run: RunRow) -> dict[str, Any] | None:
    """The moments of a run, as columns; None where there are none.

    Returns
    -------
    dict or None
        See `service.api.run_file_schemas.Resources`.
    """
    try:
        samples = read_resources(home.run_dir(run.id) / RESOURCES_FILE)
    except OSError:
        return None
    step = max(1, -(-len(samples) // MOST_SAMPLES))
    kept = samples[::step]
    columns = zip(*map(astuple, kept), strict=True) if kept else [()] * len(fields(Sample))
    names = [field.name for field in fields(Sample)]
    return {**dict(zip(names, map(list, columns), strict=True)), "total": len(samples)}


def changed_settings(run: RunRow) -> dict[str, Any]:
    """The settings in which a run differs from the defaults of this version.

    Returns
    -------
    dict
        See `service.api.run_file_schemas.Changed`.
    """
    default, own = _defaults(), dict(flat(without_secrets(upgrade(run.config))))
    rows = [
        {"key": key, "default": default.get(key), "value": own.get(key)}
        for key in {**own, **default}
        if default.get(key) != own.get(key)
    ]
    return {"rows": rows}


@cache
def _defaults() -> dict[str, Any]:
    from shared.config.compose import compose  # Hydra is slow to import

    return dict(flat(compose().snapshot()))
