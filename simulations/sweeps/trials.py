"""`expand`: the trials of a plan, with the parts that they train with checked, before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.config.compose import compose
from shared.config.config import Config
from shared.config.continuing import within
from shared.config.hydra_session import HydraSession
from shared.config.no_effect import UNUSED
from shared.config.stored import read_snapshot
from shared.runtime.components import allow_component
from shared.runtime.errors import ConfigError, FedtwinError, bullet_list
from shared.runtime.home import Home
from shared.runtime.waiting import waiting
from shared.sweeps.checks import checked_cell, checked_cells, lines_of
from shared.sweeps.plan import Mode, Plan, cells_of, overrides_of
from shared.tasks.settle import settle
from shared.tracking.fence import Fence
from shared.tracking.trials import NewTrial

# Names, and where and how a trial is computed: trials that differ in nothing else have the same results.
WHERE = (
    *("name", "description", "tracking", "trainer.progress", "trainer.num_threads"),
    *("data.decode_workers", "data.eval_batch_size", "federation.client_cpus", "federation.client_gpus"),
    *("federation.workers", "federation.engine", "federation.ray_address", "federation.start_timeout_s"),
    *("federation.round_timeout_s", "federation.connect_timeout_s", "federation.ask_again_s"),
)
_NO_EFFECT = {
    "compare": ("trainer.max_epochs", "trainer.early_stopping"),
    "centralized": UNUSED["fedtwin centralized"],
    "federated": UNUSED["fedtwin simulate"],
}


def expand(plan: Plan) -> list[NewTrial]:
    """Every trial of a plan: all cells with the first seed, then with the next.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any trial.
    """
    cells = cells_of(plan)
    found = _all_checked(plan, cells)
    seeds = plan.seeds or (None,)
    return [_trial(plan.mode, cell, found[cell], seed=seed) for seed in seeds for cell in cells]


def _all_checked(plan: Plan, cells: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Config]:
    with waiting(f"checking the settings of {len(cells)} cells", show=len(cells) > 1):
        found = checked_cells(plan, cells)
    for cfg in found.values():
        allow_named(cfg)
    return found


class Proposer:
    """Composes and checks the trials that a search asks for, one choice of settings at a time."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._session = plan, HydraSession()

    def trials(self, cell: tuple[str, ...], *, tested: bool = False) -> list[NewTrial]:
        """A trial for each seed.

        Parameters
        ----------
        tested : bool
            Whether the test set is opened: for the winner of the search alone.

        Raises
        ------
        ConfigError
            The settings are not valid together.
        """
        cfg = checked_cell(self._plan, cell, session=self._session).replace("trainer", test=tested)
        allow_named(cfg)
        seeds = self._plan.seeds or (None,)
        return [_trial(self._plan.mode, cell, cfg, seed=seed) for seed in seeds]

    def stand_in(self, cell: tuple[str, ...]) -> NewTrial:
        """A trial of settings that are not valid together: it has those of all, and cannot be trained."""
        cfg = compose(settle(overrides_of(self._plan.settings)), session=self._session)
        return NewTrial(
            settings=cell, seed=(self._plan.seeds or (cfg.seed,))[0], config=cfg.snapshot(), digest=""
        )


def check_corners(plan: Plan, cells: Sequence[tuple[str, ...]]) -> list[NewTrial]:
    """The trials that a search could ask for at the ends of its intervals and of each choice, to be checked.

    Raises
    ------
    ConfigError
        Names everything that is wrong with any choice.
    """
    found = _all_checked(plan, cells)
    seeds = plan.seeds or (None,)
    return [
        _trial(plan.mode, cell, found[cell].replace("trainer", test=False), seed=seeds[0]) for cell in cells
    ]


def fix_trials(trials: Sequence[NewTrial], *, mode: Mode, home: Home) -> list[NewTrial]:
    """The trials with the rows of their queries fixed: each query is run once for all of them.

    Raises
    ------
    DataError
    """
    if all(trial.config["data"]["source"] != "sql" for trial in trials):
        return list(trials)
    from shared.tasks.reading import fix_rows

    fixed: dict[str, dict[str, Any]] = {}
    found = []
    for trial in trials:
        asked = json.dumps(trial.config["data"], sort_keys=True)
        if asked not in fixed:
            fixed[asked] = fix_rows(read_snapshot(trial.config), cache=home.cache).snapshot()["data"]
        snapshot = {**trial.config, "data": fixed[asked]}
        found.append(replace(trial, config=snapshot, digest=digest_of(mode, snapshot)))
    return found


def rows_named(snapshot: Mapping[str, Any]) -> str:
    """A name for the rows that settings read."""
    return json.dumps([snapshot["data"], snapshot["task"]], sort_keys=True)


def check_parts(configs: Sequence[Config], *, mode: Mode, home: Home) -> dict[str, dict[str, Any]]:
    """Read the data, and build the model and the algorithm, once for each choice of them among the trials.

    What is read is decoded into the home's cache, which the trials share.

    Returns
    -------
    dict of str to dict
        Keys of the rows of each choice of data (`shared.data.row_keys.row_keys`), by `rows_named`.

    Raises
    ------
    ConfigError
        Names everything that is wrong.
    """
    with waiting("loading Flower, PyTorch and Lightning"):
        import simulations.compare  # it imports the others in the fast way
        from federated.strategy.base import load_algorithm
        from shared.data.row_keys import row_keys
        from shared.tasks.base import FitContext
        from shared.tasks.reading import read_data
        from shared.tasks.task import learner_of
    problems: dict[str, None] = {}
    seen: set[str] = set()

    def is_new(*sections: Any) -> bool:
        key = json.dumps(sections, sort_keys=True)
        return key not in seen and not seen.add(key)  # type: ignore[func-returns-value]

    data: dict[str, Any] = {}
    keys: dict[str, dict[str, Any]] = {}
    for cfg in configs:
        values = cfg.snapshot()
        rows = rows_named(values)
        try:
            if mode != "centralized" and is_new(values["strategy"]):
                load_algorithm(cfg.strategy)
            if rows not in data:
                data = {rows: None}  # of one choice at a time
                data[rows], _ = read_data(learner_of(cfg), cache=home.cache, progress=True)
                keys[rows] = row_keys(data[rows])
            if data[rows] is not None and is_new(rows, values["model"], values["trainer"]):
                learner = learner_of(cfg)
                learner.network(learner.module(data[rows].schema, FitContext()))
            if data[rows] is not None and mode == "compare" and is_new(rows, cfg.compare.metric):
                simulations.compare.headline_metric(cfg, home=home)
        except FedtwinError as error:
            problems.update(dict.fromkeys(lines_of(error)))
    if problems:
        raise ConfigError(f"no trial was begun:\n{bullet_list(list(problems))}")
    return keys


def digest_of(mode: str, snapshot: Mapping[str, Any]) -> str:
    """A name for what a run computes: equal for snapshots that differ in `WHERE`, or in what has no effect."""
    ignored = (*WHERE, *_NO_EFFECT[mode])
    kept = {name: value for name, value in _flat(snapshot) if not within(name, ignored)}
    text = json.dumps([mode, kept], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def allow_named(cfg: Config) -> None:
    """Allow the components that a trial's settings name: whoever leads the sweep has typed them.

    Not in a job, whose plan came over HTTP: there only what is on the list may run.
    """
    if Fence.of_process() is None:
        for target in cfg.targets:
            allow_component(target)


def _trial(mode: Mode, cell: tuple[str, ...], cfg: Config, *, seed: int | None) -> NewTrial:
    own = cfg if seed is None else cfg.replace("", seed=seed)
    snapshot = own.snapshot()
    return NewTrial(settings=cell, seed=own.seed, config=snapshot, digest=digest_of(mode, snapshot))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
