"""Similarity of runs: differences in test rows and settings, and groups that differ in the seed only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.read.members import ROLES
from service.read.run_config import flat
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import RunRow

_SOURCE = ("data.source", "data.path", "data.dataset", "data.digest")
_ROWS = (
    *_SOURCE,
    *("data.columns", "data.classes", "data.split_by", "data.split_seed"),
    *("data.val_fraction", "data.test_fraction", "data.on_bad_image", "task.name"),
)
_OWN = ("name", "description", "resume", "seed", "compare", "tracking")  # differ from run to run
# How a run is computed, not what: results are bit-identical.
_HOW = (
    *("trainer.progress", "trainer.test", "trainer.num_threads", "data.decode_workers", "data.eval_batch_size"),
    *("federation.engine", "federation.workers", "federation.client_cpus", "federation.client_gpus"),
    *("federation.ray_address", "federation.connect_timeout_s", "federation.start_timeout_s"),
)
_FEDERATION = ("partition", "strategy", "federation")
_LENGTH = ("trainer.max_epochs", "trainer.early_stopping")  # a federated run counts rounds
_UNUSED = {
    "centralized": _FEDERATION,
    "federated": ("trainer.max_epochs", "trainer.early_stopping.enabled"),
    "local": ("strategy",),
}
_FIRST = ("data.name", "model.name", "strategy.name")
_MOST_WORDS = 2
_LONGEST = 40
_ABSENT = object()


def test_rows_difference(one: RunRow, other: RunRow) -> str:
    """Settings by which two runs are tested on different rows.

    Returns
    -------
    str
        Such as ``data.source is digits in run 3, npz in run 9``; empty if there are none.
    """
    left, right = (_settings(run) for run in (one, other))
    wanted = [key for key in {**left, **right} if _within(key, _ROWS)]
    if not any(values.get(key) for values in (left, right) for key in _SOURCE):
        wanted.append("data.name")
    return _describe(one, other, keys=_different(left, right, keys=wanted))


def settings_difference(pooled: RunRow, federated: RunRow) -> str:
    """Settings in which a pair differs, besides data, length and federation itself.

    Returns
    -------
    str
        Such as ``model.name is cnn in run 3, resnet18 in run 9``; empty if the two are twins.
    """
    left, right = (_settings(run) for run in (pooled, federated))
    ignored = (*_OWN, *_HOW, *_ROWS, *_FEDERATION, *_LENGTH, "data.name")
    wanted = [key for key in left if not _within(key, ignored)]
    return _describe(pooled, federated, keys=_different(left, right, keys=wanted))


def group_runs(runs: Sequence[RunRow]) -> list[tuple[str, str]]:
    """Group runs of one role that differ in the seed only.

    Returns
    -------
    list of (str, str)
        For each run the name of its group, such as ``federated`` and ``federated-2``, and the settings in which
        it differs from others of its role, such as ``strategy.name=fedprox``; empty if it is alone.
    """
    keys: list[tuple[str, str]] = []
    of_parent: dict[tuple[str, int], str] = {}
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    for run in runs:
        settings = _grouped_by(run)
        key = repr(sorted(settings.items()))
        if run.comparison_id is not None:  # runs of one comparison and role differ in the seed only
            key = of_parent.setdefault((run.training_mode, run.comparison_id), key)
        known.setdefault((run.training_mode, key), settings)
        keys.append((run.training_mode, key))
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for mode in dict.fromkeys(mode for mode, _ in known):
        own = [place for place in known if place[0] == mode]
        texts = _distinguish([known[place] for place in own])
        for number, (place, text) in enumerate(zip(own, texts, strict=True), 1):
            found[place] = (ROLES[mode] if number == 1 else f"{ROLES[mode]}-{number}", text)
    return [found[key] for key in keys]


def _settings(run: RunRow) -> dict[str, Any]:
    return dict(flat(without_secrets(run.as_dict()["config"])))


def _within(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _grouped_by(run: RunRow) -> dict[str, Any]:
    ignored = (*_OWN, *_HOW, *_UNUSED.get(run.training_mode, ()))
    found = {key: value for key, value in _settings(run).items() if not _within(key, ignored)}
    if run.training_mode == "local":
        found = {
            key: value
            for key, value in found.items()
            if not _within(key, ["federation"]) or key == "federation.num_clients"
        }
    if "partition.seed" in found and found["partition.seed"] in (None, run.seed):  # it follows the seed
        found["partition.seed"] = "as the run's"
    return found


def _different(left: Mapping[str, Any], right: Mapping[str, Any], *, keys: Iterable[str]) -> list[str]:
    # A setting that an older version did not have is not a difference.
    found = {key for key in keys if key in left and key in right and left[key] != right[key]}
    return _ordered(found, order=[*left, *right])


def _ordered(keys: set[str], *, order: Sequence[str]) -> list[str]:
    # If models differ by name, their other settings need no mention.
    parts = {key.partition(".")[0] for key in _FIRST if key in keys}
    kept = {key for key in keys if key in _FIRST or key.partition(".")[0] not in parts}
    return [key for key in dict.fromkeys([*_FIRST, *order]) if key in kept]


def _describe(one: RunRow, other: RunRow, *, keys: Sequence[str]) -> str:
    left, right = (_settings(run) for run in (one, other))
    words = [
        f"{key} is {_text(left.get(key))} in run {one.id}, {_text(right.get(key))} in run {other.id}"
        for key in keys[:_MOST_WORDS]
    ]
    more = len(keys) - len(words)
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _distinguish(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(settings) == 1:
        return [""]
    order = list(dict.fromkeys(key for one in settings for key in one))
    differ = {
        key for key in order if any(one.get(key, _ABSENT) != settings[0].get(key, _ABSENT) for one in settings)
    }
    everywhere = {key for key in differ if all(key in one for one in settings)}
    keys = _ordered(everywhere or differ, order=order)
    return [
        ", ".join(f"{key}={_text(one.get(key))}" for key in keys[:_MOST_WORDS])
        + (f", and {len(keys) - _MOST_WORDS} more" if len(keys) > _MOST_WORDS else "")
        for one in settings
    ]


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"...{text[3 - _LONGEST :]}"
