"""`find_pairs`: stored pooled and federated runs as the twins of a comparison, or why they are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.config.continuing import FEDERATED_ONLY, MAY_DIFFER, different_settings, within
from shared.config.expected import as_typed
from shared.config.stored import upgrade
from shared.data.row_keys import other_rows
from shared.runtime.errors import TrackingError, bullet_list
from shared.tracking.rows import MODE_NAMES, RunRow
from simulations.twins import Twins

_SAME = ("task", "model", "seed")  # else the gap would not be that of federation
# Which rows there are, and what they are turned into; where the runs keep keys of their rows, those decide.
_ROWS = (
    *("data.source", "data.path", "data.dataset", "data.digest"),
    *("data.split_by", "data.split_seed", "data.classes"),
)
_FRACTIONS = ("data.val_fraction", "data.test_fraction", "data.columns")


@dataclass(frozen=True)
class Pairs:
    """The twins that stored runs make.

    Attributes
    ----------
    warnings : list of str
        Settings in which the twins differ, and which are part of the gap.
    """

    twins: Twins
    warnings: list[str] = field(default_factory=list)


def find_pairs(runs: Sequence[RunRow]) -> Pairs:
    """Pair completed pooled and federated runs by their seed.

    Raises
    ------
    TrackingError
        A run is not completed or of another mode, one has no twin of its seed, or twins differ in their test
        rows, task or model; all reasons are named.
    """
    problems = [text for run in runs for text in _unfit(run)]
    by_mode = {
        mode: [run for run in runs if run.training_mode == mode] for mode in ("centralized", "federated")
    }
    if not problems:
        problems = _unpaired(by_mode)
    if problems:
        raise TrackingError(f"these runs cannot be compared:\n{bullet_list(problems)}")
    pooled = {run.seed: run for run in by_mode["centralized"]}
    twins, warnings = Twins(), []
    for run in sorted(by_mode["federated"], key=lambda run: run.seed):
        twin = pooled[run.seed]
        problems += _apart(twin, run)
        warnings += _differences(twin, run)
        twins.seeds.append(run.seed)
        twins.pooled.append(twin.id)
        twins.federated.append(run.id)
    if problems:
        raise TrackingError(f"these runs are no twins:\n{bullet_list(problems)}")
    return Pairs(twins, list(dict.fromkeys(warnings)))


def _unfit(run: RunRow) -> list[str]:
    mode = MODE_NAMES[run.training_mode]
    if run.training_mode not in ("centralized", "federated"):
        return [f"run {run.id} is a {mode} run; expected pooled and federated ones"]
    if run.status != "completed":
        return [
            f"run {run.id} ({mode}) is {run.status}, not completed; fedtwin resume {run.id} may complete it"
        ]
    return []


def _unpaired(by_mode: dict[str, list[RunRow]]) -> list[str]:
    found = []
    for mode, runs in by_mode.items():
        other = by_mode["federated" if mode == "centralized" else "centralized"]
        if not runs:
            found.append(f"there is no {MODE_NAMES[mode]} run among them")
        seeds = [run.seed for run in runs]
        for run in runs:
            if seeds.count(run.seed) > 1:
                found.append(f"run {run.id}: several {MODE_NAMES[mode]} runs have the seed {run.seed}")
            elif other and run.seed not in {one.seed for one in other}:
                theirs = ", ".join(f"run {one.id}: {one.seed}" for one in other)
                found.append(f"run {run.id} ({MODE_NAMES[mode]}) has the seed {run.seed}, the others {theirs}")
    return found


def _apart(pooled: RunRow, federated: RunRow) -> list[str]:
    one, other = upgrade(pooled.config), upgrade(federated.config)
    names = (f"in run {pooled.id}", f"in run {federated.id}")
    keys = [{"test": rows["test"]} for run in (pooled, federated) if (rows := run.summary.get("row_keys"))]
    found: list[str] = []
    wanted: tuple[str, ...] = _SAME
    if len(keys) == 2:
        found = other_rows(keys[0], keys[1], when=names[0], at_present=names[1])
    else:
        wanted = (*_SAME, *_ROWS, *_FRACTIONS)
    return found + [
        f"{name}: {as_typed(left)} {names[0]}, {as_typed(right)} {names[1]}"
        for name, left, right in different_settings(one, other, ignored=("model.weights",))
        if within(name, wanted)
    ]


def _differences(pooled: RunRow, federated: RunRow) -> list[str]:
    ignored = (*MAY_DIFFER, *FEDERATED_ONLY, *_SAME, *_ROWS)
    differ: list[tuple[str, Any, Any]] = list(
        different_settings(upgrade(pooled.config), upgrade(federated.config), ignored=ignored)
    )
    return [
        f"the twins were trained with different settings, which is part of the gap: {name} is {left} in run "
        f"{pooled.id} (pooled) and {right} in run {federated.id} (federated)"
        for name, left, right in differ
    ]
