"""`changed_settings`: settings in which a training that goes on may not differ from the one that began."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from shared.config.expected import as_typed

# What may differ: names, where and how fast it is computed, its length, and what is chosen and tested.
MAY_DIFFER = (
    *("name", "description", "resume", "compare", "tracking"),
    "model.weights",  # the initial weights, which no longer matter
    # The rows themselves have keys.
    *("data.name", "data.path", "data.url", "data.decode_workers", "data.eval_batch_size"),
    *("data.max_archive_files", "data.max_archive_bytes", "data.max_archive_ratio", "data.max_bad_share"),
    *("data.max_rows", "data.max_columns", "data.max_table_bytes", "data.max_table_ratio"),
    *("data.max_image_side", "data.max_image_bytes", "data.max_image_ratio"),
    *("trainer.max_epochs", "trainer.early_stopping", "trainer.monitor", "trainer.mode"),
    *("trainer.test_model", "trainer.threshold"),
    *("trainer.accelerator", "trainer.compile", "trainer.num_threads", "trainer.progress"),
    *("federation.num_rounds", "federation.early_stopping", "federation.engine", "federation.workers"),
    *("federation.client_cpus", "federation.client_gpus", "federation.ray_address", "federation.kit"),
    *("federation.round_timeout_s", "federation.connect_timeout_s", "federation.start_timeout_s"),
    *("federation.ask_again_s", "federation.min_replies", "federation.max_examples"),
)
FEDERATED_ONLY = ("partition", "strategy", "federation")  # of which a pooled training uses nothing
_SPREAD = ("cosine", "one_cycle")  # schedules whose rate depends on the length of the whole training

_ABSENT = "(not set)"


def changed_settings(
    then: Mapping[str, Any], now: Mapping[str, Any], *, when: str, federated: bool
) -> list[str]:
    """Name the settings of a training that it cannot go on with, with both values.

    Parameters
    ----------
    then, now : mapping
        Snapshots of this version (`shared.config.stored.upgrade`).
    when : str
        What holds the former, such as ``in the checkpoint``.
    federated : bool
        Whether it is a federated training; a pooled one ignores the settings of a federation.
    """
    ignored = (*MAY_DIFFER, *(() if federated else FEDERATED_ONLY))
    found = [
        f"{name}: {as_typed(one)} {when}, {as_typed(other)} now"
        for name, one, other in different_settings(then, now, ignored=ignored)
    ]
    return [*found, *_other_length(then, now, when=when, federated=federated)]


def may_differ(name: str) -> bool:
    """Whether a training may go on with another value of a setting."""
    return within(name, MAY_DIFFER)


def within(name: str, sections: Collection[str]) -> bool:
    """Whether a setting is one of some, or below one."""
    return any(name == section or name.startswith(f"{section}.") for section in sections)


def _other_length(then: Mapping[str, Any], now: Mapping[str, Any], *, when: str, federated: bool) -> list[str]:
    schedule = _at(now, "trainer.scheduler.name")
    name = "federation.num_rounds" if federated else "trainer.max_epochs"
    one, other = _at(then, name), _at(now, name)
    if schedule not in _SPREAD or one == other:
        return []
    return [
        f"{name}: {one} {when}, {other} now, and trainer.scheduler.name={schedule} spreads the learning rate "
        "over all of it: what was trained so far had the rates of the other length; train anew"
    ]


def different_settings(
    then: Mapping[str, Any], now: Mapping[str, Any], *, ignored: Collection[str], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Each setting in which two snapshots differ, with both values.

    Parameters
    ----------
    ignored : collection of str
        Settings, or sections of them, that are not compared.
    """
    for key in dict.fromkeys([*then, *now]):
        name = f"{prefix}{key}"
        if within(name, ignored):
            continue
        one, other = then.get(key, _ABSENT), now.get(key, _ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from different_settings(one, other, ignored=ignored, prefix=f"{name}.")
        elif one != other:
            yield name, one, other


def _at(snapshot: Any, name: str) -> Any:
    for part in name.split("."):
        snapshot = snapshot.get(part) if isinstance(snapshot, Mapping) else None
    return snapshot
