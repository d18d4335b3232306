"""`telling_settings`: the settings that tell listed runs apart, in few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.config.continuing import within
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import RunRow

MOST = 2  # of a run
LONGEST = 24  # characters of a value
FIRST = ("data.name", "model.name", "strategy.name", "partition.name", "seed")
# What every run has for itself, or where it ran, not what it computed.
IGNORED = (
    *("name", "description", "resume", "tracking", "partition.seed"),
    *(
        "trainer.progress",
        "trainer.num_threads",
        "data.decode_workers",
        "federation.workers",
        "federation.engine",
    ),
)
OF_COMPARISONS = ("compare",)  # which the twins of a comparison have too, without effect


def telling_settings(rows: Sequence[RunRow]) -> list[dict[str, str]]:
    """Of each run the fewest settings that tell it from the listed runs of its mode.

    A setting that most of them share is not named where another one tells more of them apart.

    Parameters
    ----------
    rows : sequence of RunRow
        As they are listed.

    Returns
    -------
    list of dict of str to str
        Values by the shortest ending of the setting's name that is unique, such as ``lr`` of
        ``trainer.optimizer.lr``; empty where a run is like all others.
    """
    configs = [dict(_flat(without_secrets(row.config))) for row in rows]
    names = Counter(ending for key in {key for config in configs for key in config} for ending in _endings(key))
    found = []
    for row, config in zip(rows, configs, strict=True):
        mode = row.training_mode
        others = [one for other, one in zip(rows, configs, strict=True) if other.training_mode == mode]
        ignored = () if mode == "compare" else OF_COMPARISONS
        kept = _kept({key: value for key, value in config.items() if not within(key, ignored)}, others)
        found.append({_short(key, names): _text(config[key]) for key in kept})
    return found


def _kept(config: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fewest settings, chosen one by one, that tell a run from the most others."""
    kept: list[str] = []
    while len(kept) < MOST:
        differ = {key: sum(key in one and one[key] != config[key] for one in others) for key in config}
        parts = {key.partition(".")[0] for key in FIRST if "." in key and differ.get(key)}
        able = [key for key in differ if differ[key] and (key in FIRST or key.partition(".")[0] not in parts)]
        if not able:
            break
        best = min(able, key=lambda key: (-differ[key], _place(key)))
        kept.append(best)
        others = [one for one in others if best not in one or one[best] == config[best]]
    return sorted(kept, key=_place)


def _place(key: str) -> int:
    return FIRST.index(key) if key in FIRST else len(FIRST)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in IGNORED:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _endings(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[place:]) for place in range(len(parts))]


def _short(key: str, names: Mapping[str, int]) -> str:
    # "name" alone says nothing: of model.name, "model" does.
    if key.endswith(".name"):
        return key.removesuffix(".name")
    return next(ending for ending in reversed(_endings(key)) if names[ending] == 1)


def _text(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= LONGEST else f"...{text[3 - LONGEST :]}"
