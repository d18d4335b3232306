"""Starts a federation on a local or a deployed SuperLink, with bounded waits and no trust in exit codes."""

from __future__ import annotations

import os
import sys
import time

from federated.launch.deployed_superlink import DeployedSuperLink
from federated.launch.local_superlink import LocalSuperLink, sweep
from shared.config.config import Config
from shared.runtime.errors import DatabaseAway, FederationError
from shared.runtime.home import Home
from shared.runtime.signals import sigterm_as_interrupt
from shared.tracking.environment import begun_again, environment
from shared.tracking.export import write_results
from shared.tracking.progress import NOBODY, Follower
from shared.tracking.rows import INTERRUPTED, RunRow
from shared.tracking.store import Store
from shared.tracking.tracked_run import ENVIRONMENT

# The supervisor of a server's kit sees an interrupted run within seconds of its own start.
_RESUMED_WITHIN_S = 180.0
_AWAY_S = 1.0


def launch(
    cfg: Config,
    *,
    superlink: type[LocalSuperLink] | type[DeployedSuperLink],
    store: Store,
    home: Home,
    resume: bool = False,
    follow: Follower = NOBODY,
) -> int:
    """Run a federation with ``flwr run``, simulated or among real sites, and wait for its end.

    Parameters
    ----------
    cfg : Config
        With ``tracking.run_id`` set, that run is claimed instead of a new one.
    superlink : type
        What the run is handed to.
    resume : bool
        Resume the run in ``tracking.run_id`` from its last completed round.
    follow : Follower
        Shows the progress, and what is waited for.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FederationError
        Flower did not start, or the run failed; the run row says why.
    """
    sweep(store, home=home)
    run_id = cfg.tracking.run_id or prepare_run(cfg, store=store)
    if resume:
        store.runs.claim(run_id, resume=True)
        begun = store.runs.get(run_id).summary.get(ENVIRONMENT)
        store.runs.update(run_id, summary={ENVIRONMENT: begun_again(begun, resume=True)})
    elif cfg.tracking.run_id is not None:
        store.runs.set_owner(run_id, os.getpid())
    try:
        follow.step(0, "starting Flower's SuperLink")
        with sigterm_as_interrupt(), superlink(cfg, home=home, run_id=run_id) as link:
            try:
                follow.step(0, "handing the run to Flower (flwr run)")
                link.submit(resume=resume)
                # The command that began a run follows it through interruptions; one that resumed it may be the
                # supervisor's own, which must see that it ends.
                patient = not resume and cfg.federation.kit is not None
                follow.step(0, "waiting for Flower's ServerApp")
                _wait(store, run_id, superlink=link, follow=follow, patient=patient)
            except KeyboardInterrupt:  # said before the SuperLink ends, and with it the ServerApp
                _stop(store, run_id)
                raise
    except KeyboardInterrupt:
        _stop(store, run_id)
        raise
    except BaseException as error:
        store.runs.finish(run_id, "failed", error=f"{type(error).__name__}: {error}")
        raise
    write_results(store, run_id, home.results)  # the ServerApp may have been ended while it wrote them
    return run_id


def prepare_run(cfg: Config, *, store: Store) -> int:
    """A row for a federated run that somebody else, such as the ServerApp, will claim.

    Returns
    -------
    int
        The run's id; its status is pending.
    """
    run_id = store.runs.create(
        name=cfg.name,
        training_mode="federated",
        config=cfg.snapshot(),
        seed=cfg.seed,
        description=cfg.description,
        parent_id=cfg.tracking.parent_id,
        status="pending",
    )
    # The ServerApp's own command line is Flower's.
    store.runs.update(run_id, summary={ENVIRONMENT: environment()})
    return run_id


def _wait(
    store: Store,
    run_id: int,
    *,
    superlink: LocalSuperLink | DeployedSuperLink,
    follow: Follower,
    patient: bool,
) -> None:
    claimed_by = time.monotonic() + superlink.cfg.federation.start_timeout_s
    lost: float | None = None
    claimed = False
    away = False
    while True:
        gone = superlink.app_ended()  # asked before the row is read, which an app that is gone will not change
        try:
            store.runs.settle(superlink.home.journals)  # a ServerApp that was killed leaves its row running
            run = store.runs.get(run_id)
            follow.poll(run_id)
        except DatabaseAway as error:  # the ServerApp keeps its rows until it is back
            if not superlink.alive():
                raise
            if not away:
                away = True
                print(f"{error}; the run goes on", file=sys.stderr, flush=True)
            time.sleep(_AWAY_S)
            continue
        away = False
        if not (patient and run.finished and run.stop_reason == INTERRUPTED):
            lost = None
        elif lost is None:
            lost = time.monotonic()
            print(
                f"run {run_id} is interrupted ({run.error}); the server's start.sh resumes it, or, "
                f"if that was started with --no-resume, `fedtwin resume {run_id}`",
                flush=True,
            )
        if run.finished and (lost is None or time.monotonic() - lost > _RESUMED_WITHIN_S):
            return _check_end(run)
        waiting = run.pid == os.getpid()  # the ServerApp takes the row over when it starts
        if not waiting and not claimed:
            claimed = True
            follow.step(0, "the ServerApp has started; waiting for the clients")
        if waiting and gone:
            raise FederationError(f"the ServerApp ended before it took the run:\n{superlink.log_tail()}")
        if waiting and time.monotonic() > claimed_by:
            raise FederationError(
                f"the ServerApp did not start within federation.start_timeout_s:\n{superlink.log_tail()}"
            )
        if not superlink.alive():
            raise FederationError(f"Flower's SuperLink ended before the run did:\n{superlink.log_tail()}")
        time.sleep(0.25)


def _stop(store: Store, run_id: int) -> None:
    if store.runs.get(run_id).stop_reason == INTERRUPTED:  # it must not be resumed
        store.runs.claim(run_id, resume=True)
    store.runs.finish(run_id, "stopped", stop_reason="interrupted by the user")


def _check_end(run: RunRow) -> None:
    if run.status != "completed":
        raise FederationError(f"run {run.id} {run.status}: {run.error or run.stop_reason}")
