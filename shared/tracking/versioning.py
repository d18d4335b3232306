"""`next_number`: which part of a model's version number a new run raises, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from shared.config.continuing import FEDERATED_ONLY, different_settings
from shared.config.expected import as_typed
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import MODE_NAMES

Part = Literal["major", "minor", "patch"]
_SHOWN = 5
# Seeds, which rows there are, names, and where and how fast it is computed: they raise the patch number alone.
_NOT_SETTINGS = (
    *("name", "description", "seed", "resume", "compare", "tracking"),
    *("data.name", "data.path", "data.source", "data.dataset", "data.split_seed"),
    *("data.url", "data.query", "data.table", "data.key", "data.digest"),
    *("data.decode_workers", "data.eval_batch_size"),
    *("data.max_archive_files", "data.max_archive_bytes", "data.max_archive_ratio", "data.max_bad_share"),
    *("data.max_rows", "data.max_columns", "data.max_table_bytes", "data.max_table_ratio"),
    *("data.max_image_side", "data.max_image_bytes", "data.max_image_ratio"),
    *("trainer.accelerator", "trainer.compile", "trainer.num_threads", "trainer.progress"),
    *("federation.engine", "federation.workers", "federation.client_cpus", "federation.client_gpus"),
    *("federation.ray_address", "federation.kit", "federation.round_timeout_s", "federation.ask_again_s"),
    *("federation.connect_timeout_s", "federation.start_timeout_s"),
)


def basis_of(run: Any) -> dict[str, Any]:
    """What of a run decides about the number of the next version.

    Parameters
    ----------
    run : Row
        With ``training_mode``, ``config`` and ``summary``.
    """
    schema = run.summary.get("schema") or {"classes": run.summary.get("classes")}
    return {"mode": run.training_mode, "config": run.config, "schema": schema}


def next_number(
    number: tuple[int, int, int], before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[tuple[int, int, int], str]:
    """The number after ``number``, and why.

    Parameters
    ----------
    before, now : mapping
        From `basis_of`, of the version with that number and of the new one.
    """
    major, minor, patch = number
    if changed := _interface_changes(before, now):
        return (major + 1, 0, 0), "; ".join(changed)
    if changed := _setting_changes(before, now):
        more = f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        return (major, minor + 1, 0), "; ".join(changed[:_SHOWN]) + more
    seeds = [side["config"].get("seed") for side in (before, now)]
    seed = "the same seed" if seeds[0] == seeds[1] else f"seed {seeds[1]}, before {seeds[0]}"
    return (major, minor, patch + 1), f"the same settings, {seed}"


def _interface(basis: Mapping[str, Any]) -> dict[str, Any]:
    """What who uses a model relies on: what goes in, and what comes out."""
    config, schema = basis["config"], basis["schema"]
    task, data = config.get("task") or {}, config.get("data") or {}
    return {
        "task": task.get("_target_") or task.get("name"),
        "classes": schema.get("classes") or [],
        "inputs": schema.get("inputs") or [],
        "targets": schema.get("targets") or [],
        "horizon": schema.get("horizon") or 0,
        "channels": data.get("channels"),
        "image size": data.get("image_size"),
    }


def _interface_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    one, other = _interface(before), _interface(now)
    found = []
    for name in [name for name in other if other[name] != one[name]]:
        now_told, then_told = _told(other[name]), _told(one[name])
        same = "other kinds or levels" if now_told == then_told else f"before {then_told}"
        found.append(f"other {name}: {now_told}, {same}")
    return found


def _setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    modes = [MODE_NAMES[side["mode"]] for side in (before, now)]
    if modes[0] != modes[1]:
        return [f"{modes[1]} training, before {modes[0]}"]
    ignored = (*_NOT_SETTINGS, *(() if now["mode"] == "federated" else FEDERATED_ONLY))
    differ = different_settings(before["config"], now["config"], ignored=ignored)
    return [f"{name}: {_typed(right)}, before {_typed(left)}" for name, left, right in differ]


def _typed(value: Any) -> str:
    return as_typed(without_secrets(value))


def _told(value: Any) -> str:
    if isinstance(value, list):
        names = [str(item["name"]) if isinstance(item, Mapping) else str(item) for item in value]
        return f"{', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}" or "none"
    return str(value)
