"""`Coordinator`: hands trials to the workers of a cluster, tries failed ones again, and stops them all."""

from __future__ import annotations

import queue
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.runtime.home import Home
from shared.runtime.signals import why_interrupted
from shared.sweeps.plan import Mode
from shared.tracking.rows import TrialRow
from shared.tracking.run_bundle import BundleError
from shared.tracking.store import Store
from simulations.sweeps.apart import keep_results, outcome_problem
from simulations.sweeps.cluster import SchedulerLost
from simulations.sweeps.order import Order, Outcome
from simulations.sweeps.progress import BestSoFar, Progress
from simulations.sweeps.search import Search
from simulations.sweeps.stopping import is_asked
from simulations.sweeps.worker import begun_trials, prune_trial, run_trial, stop_trials

if TYPE_CHECKING:
    from distributed import Client, Future

OnProgress = Callable[[Progress], None]
_LOOK_S = 1.0
_BEGUN_S = 5.0  # each worker logs that it was asked
_COUNT_S = 10.0  # workers of another scheduler come and go
_STOP_S = 30.0
_STOP_LOOK_S = 0.2
_LOST = ("FutureCancelledError", "CancelledError", "CommClosedError")


class Coordinator:
    """Runs the trials of one sweep that are not completed.

    Parameters
    ----------
    retries : int
        How often a trial that failed is tried again, unless it cannot but fail again.
    workers_home : str or None
        The workers' folder of files; None: each has its own.
    configs : mapping
        The snapshot of each trial by its number.
    apart : bool
        Whether the workers have no database of the sweep's: this process writes what they send.
    keep_models : bool
        Whether they send the chosen models, too.
    """

    def __init__(
        self,
        sweep_id: int,
        *,
        mode: Mode,
        retries: int,
        threads: int,
        workers_home: str | None,
        configs: Mapping[int, Mapping[str, Any]],
        store: Store,
        home: Home,
        on_progress: Iterable[OnProgress] = (),
        apart: bool = False,
        keep_models: bool = False,
    ) -> None:
        self.sweep_id, self.mode, self.retries, self.threads = sweep_id, mode, retries, threads
        self._workers_home, self._configs = workers_home, configs
        self._store, self._home, self._on_progress = store, home, tuple(on_progress)
        self._apart, self._keep_models = apart, keep_models
        self._begun: dict[int, int] = {}  # runs of trials that such workers train now, by number
        self._look_at = 0.0
        self._best = BestSoFar(store)
        self._began = time.monotonic()
        self._took: list[float] = []  # seconds of the trials that ended here
        self._at_once, self._count_at = 1, 0.0
        self.processor_seconds = 0.0

    def run(self, client: Client, trials: Sequence[TrialRow], *, search: Search | None = None) -> None:
        """Train all trials that wait; when this returns, none of them does.

        Parameters
        ----------
        search : Search, optional
            Asks for more trials whenever a worker is free, and stops some.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C, SIGTERM or `request_stop`: all trials have stopped, those under way with what they have
            trained.
        """
        for trial in trials:
            if trial.status == "completed":
                self._best.show(trial)
        waiting = {trial.number: trial for trial in trials if trial.status == "waiting"}
        tries: Counter[int] = Counter()
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        under_way: dict[str, tuple[TrialRow, Any]] = {}

        def refill() -> None:
            while search is not None and len(under_way) < self._count(client) and (rows := search.ask()):
                for row in rows:
                    submit(row)

        def left() -> int:
            return len(under_way) + (search.to_come if search is not None else 0)

        def submit(trial: TrialRow) -> None:
            tries[trial.number] += 1
            key = f"sweep-{self.sweep_id}-trial-{trial.number}-{tries[trial.number]}-{time.time_ns()}"
            future = client.submit(run_trial, self._order(trial), key=key, pure=False, retries=0)
            under_way[key] = (trial, future)
            future.add_done_callback(ended.put)

        try:
            for trial in waiting.values():
                submit(trial)
            refill()
            self._tell(client, left(), search=search)
            while under_way:
                if is_asked(self._store, self.sweep_id):
                    raise KeyboardInterrupt(f"interrupted by fedtwin stop {self.sweep_id}")
                if search is not None:
                    self._prune(client, search)
                if self._apart:
                    self._note_begun(client, {trial.number for trial, _ in under_way.values()})
                try:
                    future = ended.get(timeout=_LOOK_S)
                except queue.Empty:
                    self._tell(client, left(), search=search)
                    continue
                trial, _ = under_way.pop(future.key)
                outcome = self._outcome(trial, future)
                lost = outcome.status not in ("completed", "pruned") and not outcome.final
                again = lost and tries[trial.number] <= self.retries
                if again:
                    submit(trial)
                elif search is not None:
                    search.tell(self._store.trials.get(self.sweep_id, trial.number))
                refill()
                self._tell(client, left(), search=search, outcome=outcome, again=again)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                then = "begin anew when the sweep is resumed" if self._apart else "keep what they have trained"
                print(f"stopping the trials under way; they {then}", file=sys.stderr)
            self._stop(client, list(under_way.values()))
            why = str(error) or why_interrupted()
            for run_id in self._begun.values():
                self._store.runs.finish(run_id, "stopped", stop_reason=why)
            self._begun.clear()
            raise

    def _order(self, trial: TrialRow) -> Order:
        return Order(
            sweep_id=self.sweep_id,
            number=trial.number,
            mode=self.mode,
            config=self._configs.get(trial.number) or self._store.trials.config(self.sweep_id, trial.number),
            home=self._workers_home,
            database_url=None if self._apart else self._home.database_url,
            threads=self.threads,
            keep_models=self._keep_models,
        )

    def _outcome(self, trial: TrialRow, future: Any) -> Outcome:
        """How a try ended; what its process could not write any more is written here."""
        try:
            outcome: Outcome = future.result()
        except Exception as error:  # Dask's own: the worker is gone, or could not read the order
            if future.cancelled() or type(error).__name__ in _LOST:
                raise SchedulerLost(
                    f"the scheduler is gone; trials that have ended are kept: fedtwin resume {self.sweep_id}"
                ) from None
            how = (
                "its worker died"
                if type(error).__name__ == "KilledWorker"
                else f"{type(error).__name__}: {error}"
            )
            outcome = Outcome(trial.number, "died", error=how)
        if self._apart:
            outcome = self._keep(trial, outcome)
        row = self._store.trials.get(self.sweep_id, trial.number)
        if row.status == "pruned" and outcome.status == "completed":  # it was faster
            self._store.trials.finish(self.sweep_id, trial.number, "completed")
        elif row.status == "pruned":
            self._store.runs.settle(self._home.journals)
            outcome = replace(outcome, status="pruned", error=None)
        if outcome.status == "stopped":  # by somebody else than us
            outcome = replace(outcome, status="died", error="its process was stopped")
        if outcome.status == "died":
            self._store.runs.settle(self._home.journals)  # its run is no longer running
            self._store.trials.finish(self.sweep_id, trial.number, "failed", error=outcome.error)
        if outcome.status == "completed":
            self._took.append(outcome.seconds)
            self._best.show(self._store.trials.get(self.sweep_id, trial.number))
        elif outcome.status == "pruned":
            self._took.append(outcome.seconds)
        self.processor_seconds += outcome.processor_seconds
        return outcome

    def _note_begun(self, client: Client, numbers: Set[int]) -> None:
        """Note which trials train: their workers cannot write it."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _BEGUN_S
        begun = set().union(*client.run(begun_trials, self.sweep_id).values())
        for number in (begun & numbers) - self._begun.keys():
            self._begin(number)

    def _begin(self, number: int) -> int:
        run_id = self._store.trials.begin(self.sweep_id, number, mode=self.mode)
        if self._store.trials.get(self.sweep_id, number).status != "completed":
            self._store.runs.claim(run_id, resume=True)
        self._begun[number] = run_id
        return run_id

    def _keep(self, trial: TrialRow, outcome: Outcome) -> Outcome:
        """Write what a worker that has no database has sent; of a trial that failed, why."""
        run_id = self._begun.get(trial.number) or self._begin(trial.number)
        if self._store.trials.get(self.sweep_id, trial.number).status == "completed":  # by an earlier try
            del self._begun[trial.number]
            return Outcome(trial.number, "completed")
        if problem := outcome_problem(outcome, number=trial.number):
            outcome = Outcome(trial.number, "failed", error=f"BundleError: {problem}")
        if outcome.status == "completed":
            try:
                keep_results(
                    outcome.results,
                    sweep_id=self.sweep_id,
                    number=trial.number,
                    mode=self.mode,
                    store=self._store,
                    home=self._home,
                )
            except BundleError as error:
                outcome = replace(outcome, status="failed", error=f"BundleError: {error}", results=None)
        if outcome.status == "failed":
            self._store.trials.finish(self.sweep_id, trial.number, "failed", error=outcome.error)
        self._begun.pop(trial.number)
        if outcome.status == "stopped":
            self._store.runs.finish(run_id, "stopped", stop_reason="its process was stopped")
        elif outcome.status != "completed":
            self._store.runs.finish(run_id, "failed", error=outcome.error)
        return replace(outcome, results=None)

    def _prune(self, client: Client, search: Search) -> None:
        """Stop trials whose first rounds are worse than those of others."""
        for row in search.to_prune():
            self._store.trials.finish(self.sweep_id, row.number, "pruned")
            client.run(prune_trial, self.sweep_id, row.number)

    def _tell(
        self,
        client: Client,
        left: int,
        *,
        search: Search | None,
        outcome: Outcome | None = None,
        again: bool = False,
    ) -> None:
        counts = self._store.trials.counts([self.sweep_id])[self.sweep_id]
        at_once = self._count(client) if not self._took or left else 1
        pace = sum(self._took) / len(self._took) / at_once if self._took else None
        failed = outcome is not None and outcome.status not in ("completed", "pruned")
        to_come = 0 if search is None else search.to_come
        progress = Progress(
            sweep_id=self.sweep_id,
            total=sum(counts.values()) + to_come,
            done=counts["completed"],
            running=counts["running"],
            failed=counts["failed"],
            waiting=counts["waiting"] + to_come,
            pruned=counts["pruned"],
            seconds=time.monotonic() - self._began,
            seconds_left=None if pace is None else pace * left,
            best=self._best.best,
            finished=None if outcome is None else outcome.number,
            error=f"{outcome.error}{' (it is tried again)' if again else ''}" if outcome and failed else None,
            finished_pruned=outcome is not None and outcome.status == "pruned",
            processor_seconds=self.processor_seconds,
        )
        for show in self._on_progress:
            show(progress)

    def _count(self, client: Client) -> int:
        """How many trials train at the same time."""
        if time.monotonic() >= self._count_at:
            threads: dict[str, int] = client.nthreads()
            self._at_once = max(1, sum(threads.values()))
            self._count_at = time.monotonic() + _COUNT_S
        return self._at_once

    def _stop(self, client: Client, under_way: Sequence[tuple[TrialRow, Any]]) -> None:
        """Stop what is under way, and let what has not ended wait for a resume."""
        with suppress(Exception):  # a cluster that is gone has nothing to stop
            begun = set().union(*client.run(begun_trials, self.sweep_id).values())
            # Workers also have a trial in hand that follows the one that they train.
            client.cancel([future for trial, future in under_way if trial.number not in begun])
            deadline = time.monotonic() + _STOP_S
            while any(client.run(stop_trials, self.sweep_id).values()) and time.monotonic() < deadline:
                time.sleep(_STOP_LOOK_S)
            for trial, future in under_way if self._apart else ():
                if future.status == "finished":  # it was complete, but not written yet
                    self._outcome(trial, future)
