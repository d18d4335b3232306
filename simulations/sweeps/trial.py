"""`train_trial`: the process of one trial, from its row in the store to its outcome."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing import current_process, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from shared.config.config import Config
from shared.config.stored import read_for_resume, upgrade
from shared.runtime.errors import (
    ConfigError,
    DataError,
    DivergedError,
    FedtwinError,
    TrackingError,
    TreesError,
    WeightsError,
)
from shared.runtime.home import Home, keep_private, open_home
from shared.runtime.signals import interrupt_on, sigterm_as_interrupt
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from simulations.sweeps.order import LOG_FILE, PRUNE, Order, Outcome, Results
from simulations.sweeps.trials import allow_named

_FINAL = (ConfigError, DataError, DivergedError, TreesError, WeightsError)  # the same again, however often
_PATIENCE_S = 60.0


def train_trial(connection: Connection, order: Order, environment: Mapping[str, str]) -> None:
    """Train, and send the outcome.

    Parameters
    ----------
    connection : Connection
        To the worker, with which this process ends.
    environment : mapping of str to str
        Of the worker now: a fork server has that of its first use.
    """
    os.environ.clear()
    os.environ.update(environment)
    if order.home is not None:
        os.environ["FEDTWIN_HOME"] = order.home
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the group; who leads the sweep stops its trials
    threading.Thread(target=_exit_with_worker, daemon=True).start()
    vars(current_process())["_config"]["daemon"] = False  # a user's DataLoader may have workers
    keep_private()
    connection.send(_outcome(order))


def _outcome(order: Order) -> Outcome:
    began, used = time.monotonic(), _processor_seconds()
    status, error, final, results = "completed", None, False, None
    try:
        pruned = interrupt_on(PRUNE, reason="pruned by the search")
        with sigterm_as_interrupt(), pruned:
            if order.database_url is None:
                status, error, final, results = _train_apart(order)
            else:
                home = Home(open_home().root, order.database_url)
                with Store(order.database_url) as store:
                    status, error, final = _train(order, store=store, home=home)
    except KeyboardInterrupt:
        status = "stopped"
    except FedtwinError as problem:  # the store itself
        status, error = "failed", f"{type(problem).__name__}: {problem}"
    seconds, processor = time.monotonic() - began, _processor_seconds() - used
    return Outcome(order.number, status, seconds, processor, error, final, results)  # type: ignore[arg-type]


def _train_apart(order: Order) -> tuple[str, str | None, bool, Results | None]:
    """Train in a home and a database of this process alone; what is in them is sent."""
    import torch

    from simulations.execute import execute
    from simulations.sweeps.apart import OwnTwins, own_home, pack_results

    torch.set_num_threads(order.threads)
    with own_home() as home, Store(home.database_url) as store:
        _print_to(home.root / LOG_FILE)
        try:
            cfg = config_of(order, home=home).replace("tracking", parent_id=None)
            allow_named(cfg)
            run_id = execute(
                cfg,
                order.mode,
                store=store,
                home=home,
                command=_command(order),
                alone=True,
                pooled_twins=OwnTwins(),
            )
            results = pack_results(store, run_id, home=home, keep_models=order.keep_models)
        except Exception as problem:  # a bug, or code of the user's own: the other trials can do without it
            return "failed", f"{type(problem).__name__}: {problem}", isinstance(problem, _FINAL), None
    return "completed", None, False, results


def _command(order: Order) -> str:
    return f"fedtwin sweep ... (trial {order.number} of sweep {order.sweep_id})"


def _train(order: Order, *, store: Store, home: Home) -> tuple[str, str | None, bool]:
    import torch

    from simulations.execute import execute
    from simulations.resuming import resume
    from simulations.sweeps.shared_pooled import SharedPooled

    torch.set_num_threads(order.threads)
    pooled_twins = SharedPooled(order.sweep_id, store=store, home=home)
    run_id = store.trials.begin(order.sweep_id, order.number, mode=order.mode)
    status, error, final = "completed", None, False
    try:
        run = _settled(store, run_id, home=home)
        home.run_dir(run_id).mkdir(parents=True, exist_ok=True)
        _print_to(home.run_dir(run_id) / LOG_FILE)
        cfg = config_of(order, home=home)
        allow_named(cfg)
        if run.status == "pending":
            execute(
                cfg,
                order.mode,
                store=store,
                home=home,
                run_id=run_id,
                command=_command(order),
                alone=True,
                pooled_twins=pooled_twins,
            )
        elif run.status != "completed":
            resume(run_id, store=store, home=home, alone=True, pooled_twins=pooled_twins)
    except KeyboardInterrupt:
        if store.trials.get(order.sweep_id, order.number).status != "pruned":
            store.trials.finish(order.sweep_id, order.number, "waiting")
        raise
    except Exception as problem:  # a bug, or code of the user's own: the other trials can do without it
        status, error = "failed", f"{type(problem).__name__}: {problem}"
        final = isinstance(problem, _FINAL)
        if not store.runs.get(run_id).finished:
            store.runs.finish(run_id, "failed", error=error)  # it failed before it began
    store.trials.finish(order.sweep_id, order.number, status, error=error)
    return status, error, final


def config_of(order: Order, *, home: Home) -> Config:
    """The settings of a trial, with where and how it is computed.

    Raises
    ------
    ConfigError
    """
    cfg = read_for_resume(upgrade(order.config), written_as=order.config)
    threads = cfg.trainer.num_threads or order.threads
    cfg = cfg.replace("trainer", progress=False, num_threads=threads).replace("federation", workers=1)
    return cfg.replace(
        "tracking", home=str(home.root), database_url=home.database_url, parent_id=order.sweep_id
    )


def _settled(store: Store, run_id: int, *, home: Home) -> RunRow:
    """The run, which this process may take: a try before this one may have ended this very moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        run = store.runs.get(run_id)
        if run.finished or (run.status == "pending" and run.pid == os.getpid()):
            return run
        store.runs.settle(home.journals)
        if time.monotonic() > deadline:
            raise TrackingError(f"run {run.id} is still {run.status} (process {run.pid} on {run.host})")
        time.sleep(0.1)


def _print_to(path: Path) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)


def _processor_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _exit_with_worker() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
