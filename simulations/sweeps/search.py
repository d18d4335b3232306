"""`Search`: asks Optuna for the next trials of a sweep, tells it what they reached, and prunes.

The trials' own rows are the memory of a search: the study is made anew from them when a sweep is resumed.
Optuna's tables are not used: its table of migrations has the name of ours, and its CMA-ES keeps pickled
objects in them.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.runtime.errors import ConfigError, FedtwinError
from shared.sweeps.plan import Plan
from shared.sweeps.search_plan import SearchPlan
from shared.tracking.rows import RunRow, TrialRow
from shared.tracking.store import Store
from simulations.sweeps.objectives import Objectives, Unmeasured, mean
from simulations.sweeps.space import Space
from simulations.sweeps.trials import Proposer

if TYPE_CHECKING:
    import optuna

ASKED, PARAMS, VALUES, TESTED = "asked", "params", "values", "tested"  # in `TrialRow.search`
_TOO_EARLY = 0.2  # of a trial's rounds or epochs: where the learning rate still rises, little can be told


class Search:
    """The study of one sweep.

    Parameters
    ----------
    plan : Plan
        Has a search.
    objectives : Objectives
        What is sought.
    sweep_id : int
        The trials that it has by now are what was asked for before.

    Raises
    ------
    ConfigError
        Optuna is not installed, or an axis cannot be searched.
    """

    def __init__(self, plan: Plan, *, objectives: Objectives, sweep_id: int, store: Store) -> None:
        need_optuna()
        import optuna

        assert plan.search is not None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self.plan, self.search, self.objectives = plan, plan.search, objectives
        self._sweep_id, self._store = sweep_id, store
        self._space, self._proposer = Space(plan), Proposer(plan)
        self._study = optuna.create_study(
            directions=objectives.directions, sampler=_sampler(plan.search, 0), pruner=_pruner(plan.search)
        )
        self._open: dict[int, optuna.Trial] = {}  # by the number of what was asked for
        self._rows: dict[int, list[int]] = {}
        self._shown: dict[int, set[int]] = {}
        self._restore(store.trials.of_sweep(sweep_id))

    @property
    def asked(self) -> int:
        """How many choices of settings there are by now."""
        return len(self._rows)

    @property
    def to_come(self) -> int:
        """How many trials it will yet ask for."""
        return (self.search.trials - self.asked) * len(self.plan.seeds or (0,))

    def ask(self) -> list[TrialRow]:
        """The rows of the next choice of settings, one for each seed; none where there are enough.

        Settings that cannot be composed together are stored as failed, and others are asked for.
        """
        while self.asked < self.search.trials:
            number = self.asked
            params = self._ask(number)
            rows = self._store_asked(number, params)
            if rows:
                return rows
        return []

    def tell(self, trial: TrialRow) -> None:
        """Note that a trial has ended, for good; with the last seed of its settings, Optuna is told."""
        if trial.search is None or trial.search.get(TESTED):
            return
        number = int(trial.search[ASKED])
        rows = [self._store.trials.get(self._sweep_id, one) for one in self._rows[number]]
        if number in self._open and all(row.status in ("completed", "failed", "pruned") for row in rows):
            self._tell(number, rows)

    def to_prune(self) -> list[TrialRow]:
        """The running trials that are to be stopped, by what they have written by now."""
        if self.search.pruner == "none":
            return []
        found = []
        for number, trial in self._open.items():
            row = self._store.trials.get(self._sweep_id, self._rows[number][0])
            if row.status == "running" and self._is_worse(number, trial, row):
                found.append(row)
        return found

    def best(self) -> list[int]:
        """What was asked for and none beats, by its number; the best by the first objective comes first."""
        done = [one for one in self._study.best_trials if one.values is not None] if self._completed() else []
        sign = -1.0 if self.objectives.directions[0] == "maximize" else 1.0
        return [one.number for one in sorted(done, key=lambda one: (sign * one.values[0], one.number))]

    def test_winner(self) -> list[TrialRow]:
        """Rows that train the winning settings once more, and open the test set; none where there are some.

        Of several objectives the winner is the best by the first of those that none beats.
        """
        trials = self._store.trials.of_sweep(self._sweep_id)
        if (
            any((one.search or {}).get(TESTED) and one.status != "failed" for one in trials)
            or not self._completed()
        ):
            return []
        winner = self.best()[0]
        settings = next(one.settings for one in trials if (one.search or {}).get(ASKED) == winner)
        new = self._proposer.trials(tuple(settings), tested=True)
        return self._store.trials.add(self._sweep_id, new, search={ASKED: winner, TESTED: True})

    def _completed(self) -> bool:
        import optuna

        return bool(self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))

    def _ask(self, number: int, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        # A sampler of its own for each question: what it proposes depends on the trials and on its number
        # alone, whether the search was interrupted or not.
        self._study.sampler = _sampler(self.search, number)
        if params is not None:
            self._study.enqueue_trial(dict(params))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()
            _ = trial.relative_params  # what samplers keep in a trial, also of one whose values are known
            for key in self._space.axes:
                self._space.suggest(trial, key)
        self._open[number] = trial
        self._rows[number] = []
        return dict(trial.params)

    def _store_asked(self, number: int, params: Mapping[str, Any]) -> list[TrialRow]:
        cell = self._space.overrides(params)
        told = {ASKED: number, PARAMS: dict(params)}
        try:
            new = self._proposer.trials(cell)
        except FedtwinError as error:
            (row,) = self._store.trials.add(self._sweep_id, [self._proposer.stand_in(cell)], search=told)
            self._store.trials.finish(self._sweep_id, row.number, "failed", error=str(error))
            self._rows[number] = [row.number]
            self._tell(number, [self._store.trials.get(self._sweep_id, row.number)])
            return []
        rows = self._store.trials.add(self._sweep_id, new, search=told)
        self._rows[number] = [row.number for row in rows]
        return rows

    def _tell(self, number: int, rows: Sequence[TrialRow]) -> None:
        import optuna

        trial = self._open.pop(number)
        if any(row.status == "pruned" for row in rows):
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
        try:
            values = mean([self._values(row) for row in rows])
        except Unmeasured as error:
            logging.getLogger("fedtwin").info("trial %s: %s", rows[0].number, error)
            # Settings that fail are bad ones: those near them are proposed less.
            single = len(self.objectives.names) == 1
            state = optuna.trial.TrialState.PRUNED if single else optuna.trial.TrialState.FAIL
            self._study.tell(trial, state=state)
            return
        self._study.tell(trial, values)

    def _values(self, row: TrialRow) -> list[float]:
        if row.search and row.search.get(VALUES) is not None:
            return list(row.search[VALUES])
        run = self._store.runs.find(row.run_id) if row.run_id is not None else None
        if row.status != "completed" or run is None:
            raise Unmeasured(row.error or "its run was deleted")
        values = self.objectives.of_trial(run, store=self._store)
        if not all(map(math.isfinite, values)):
            raise Unmeasured(f"{self.objectives.labels()} are {values}")
        self._store.trials.set_search(self._sweep_id, row.number, {**(row.search or {}), VALUES: values})
        return values

    def _is_worse(self, number: int, trial: optuna.Trial, row: TrialRow) -> bool:
        run = self._store.runs.find(row.run_id) if row.run_id is not None else None
        if run is None:
            return False
        self._report(number, trial, self.objectives.curve(run, store=self._store))
        return max(self._shown[number], default=0) > _TOO_EARLY * _steps(run) and trial.should_prune()

    def _report(self, number: int, trial: optuna.Trial, curve: Mapping[int, float]) -> None:
        shown = self._shown.setdefault(number, set())
        for step in sorted(curve.keys() - shown):
            trial.report(curve[step], step)
            shown.add(step)

    def _restore(self, trials: Sequence[TrialRow]) -> None:
        asked: dict[int, list[TrialRow]] = {}
        for row in trials:
            if row.search is not None and not row.search.get(TESTED):
                asked.setdefault(int(row.search[ASKED]), []).append(row)
        for number, rows in sorted(asked.items()):
            assert rows[0].search is not None
            self._ask(number, rows[0].search[PARAMS])
            self._rows[number] = [row.number for row in rows]
            if self.search.pruner != "none" and rows[0].run_id is not None:
                self._is_worse(number, self._open[number], rows[0])  # its curve, for the pruner
            if all(row.status in ("completed", "failed", "pruned") for row in rows):
                self._tell(number, rows)


def need_optuna() -> None:
    """Say how Optuna is installed where it is not.

    Raises
    ------
    ConfigError
    """
    if find_spec("optuna") is None:
        raise ConfigError("a search needs Optuna, which is not installed: pip install 'fedtwin[sweep]'")


def _steps(run: RunRow) -> int:
    """The rounds or epochs that a trial has."""
    if run.training_mode == "centralized":
        return int(run.config["trainer"]["max_epochs"])
    return int(run.config["federation"]["num_rounds"])


def _sampler(search: SearchPlan, number: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])  # near seeds draw alike
    if search.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if search.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if search.sampler == "nsga2":
        return samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, search.trials // 4)))
    # constant_liar: trials that run at the same time are taken for bad ones, and others are proposed.
    return samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=min(10, 1 + search.trials // 3))


def _pruner(search: SearchPlan) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if search.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=min(5, 1 + search.trials // 4))
    return pruners.HyperbandPruner() if search.pruner == "hyperband" else pruners.NopPruner()
