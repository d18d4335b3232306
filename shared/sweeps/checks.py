"""`checked_cells`: the settings of each cell of a plan, composed and checked, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.config.compose import compose
from shared.config.config import Config
from shared.config.continuing import within
from shared.config.hydra_session import HydraSession
from shared.config.no_effect import reject_unused
from shared.runtime.errors import ConfigError, FedtwinError, bullet_list
from shared.sweeps.plan import Plan, overrides_of
from shared.tasks.checks import reject_one_sided, reject_pooled_only
from shared.tasks.settle import settle

COMMANDS = {"centralized": "fedtwin centralized", "federated": "fedtwin simulate", "compare": "fedtwin compare"}
_ELSEWHERE = {
    "trainer.test": "trials are tested, but for those of a search, whose winner alone is",
    "tracking": "the runs of a sweep are kept together: set FEDTWIN_HOME, or FEDTWIN_DATABASE_URL",
    "resume": "a trial begins anew, and goes on by itself: fedtwin resume SWEEP",
    "compare.seeds": "a trial has one seed: name the seeds of the sweep (seed=1,2,3)",
    "federation.workers": "a trial's clients train one after another, and trials side by side (--workers)",
    "trainer.progress": "a sweep has a board of its own",
    "hydra": "a sweep starts no Hydra app",
}
_SHOWN = 3  # trials that are named of those with one problem

Cell = tuple[str, ...]


def checked_cells(
    plan: Plan,
    cells: Sequence[Cell],
    *,
    session: HydraSession | None = None,
    also: Callable[[Config], Iterable[str]] = lambda cfg: (),
) -> dict[Cell, Config]:
    """The configuration of each cell.

    Parameters
    ----------
    session : HydraSession, optional
        What the cells share with others.
    also : callable
        Gives what else is wrong with a configuration.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any of them, and with which.
    """
    found: dict[Cell, Config] = {}
    problems: dict[str, list[Cell]] = {}
    session = session or HydraSession()
    for cell in cells:
        try:
            found[cell] = checked_cell(plan, cell, session=session)
            texts = list(also(found[cell]))
        except FedtwinError as error:
            texts = lines_of(error)
        for text in texts:
            problems.setdefault(text, []).append(cell)
    if problems:
        texts = [f"{_where(where, len(cells))}{text}" for text, where in problems.items()]
        raise ConfigError(f"no trial was begun, as settings are not valid:\n{bullet_list(texts)}")
    return found


def checked_cell(plan: Plan, cell: Sequence[str], *, session: HydraSession) -> Config:
    """The configuration of one cell.

    Raises
    ------
    ConfigError
        Names everything that is wrong with it.
    """
    typed = [*overrides_of(plan.settings), *cell]
    names = [text.lstrip("+~").partition("=")[0] for text in typed]
    found = [
        f"{name}: {reason}"
        for name in dict.fromkeys(names)
        for part, reason in _ELSEWHERE.items()
        if within(name, (part,))
    ]
    if found:
        raise ConfigError(f"the plan is not valid:\n{bullet_list(found)}")
    cfg = compose(settle(typed), session=session)
    reject_unused(typed, cfg, command=COMMANDS[plan.mode])
    if plan.mode != "centralized":
        reject_pooled_only(cfg)
        if cfg.federation.engine != "local" or cfg.federation.kit is not None:
            raise ConfigError(
                f"federation.engine={cfg.federation.engine}: the trials of a sweep train on its own workers; "
                "choose federation=simulation with federation.engine=local"
            )
    if plan.mode == "compare":
        reject_one_sided(cfg)
    return cfg


def common(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that are the same in all snapshots."""
    first, *others = snapshots
    found: dict[str, Any] = {}
    for key, value in first.items():
        values = [one.get(key) for one in others]
        if isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in values):
            found[key] = common([value, *(one for one in values if one is not None)])
        elif all(one == value for one in values):
            found[key] = value
    return found


def lines_of(error: FedtwinError) -> list[str]:
    """The problems of an error, which may list several."""
    head, *items = str(error).split("\n  - ")
    return items if items and head.endswith(":") else [str(error)]


def _where(cells: Sequence[Cell], total: int) -> str:
    if len(cells) == total:
        return ""
    named = " or ".join(" ".join(cell) for cell in cells[:_SHOWN])
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return f"with {named}{more}: "
