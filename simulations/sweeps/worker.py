"""`run_trial`: what a Dask worker does: it starts a process for a trial, and waits for its outcome.

A trial has a process of its own, so that it begins like a command of its own, with the same results, and
nothing of it is left when it ends. The process is forked from one that has imported what trials need; the
worker itself imports none of that.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from shared.runtime.main_module import without_main
from simulations.sweeps.order import PRUNE, Order, Outcome

_running: dict[tuple[int, int], BaseProcess] = {}  # of this worker, by sweep and trial
_asked: set[int | None] = set()  # process ids of those that were asked to stop


def run_trial(order: Order) -> Outcome:
    """Train a trial in a process of its own.

    Returns
    -------
    Outcome
        The trial's row in the store says the same, unless its process died.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["simulations.sweeps.preloaded"])
    ours, theirs = context.Pipe(duplex=False)
    # A daemon, which Dask's workers are, may start no processes.
    vars(multiprocessing.current_process())["_config"]["daemon"] = False
    process = context.Process(target=_train, args=(theirs, order, dict(os.environ)), daemon=True)
    with without_main():
        process.start()
    theirs.close()
    _running[order.sweep_id, order.number] = process
    try:
        outcome: Outcome = ours.recv()
    except EOFError:
        process.join()
        return Outcome(order.number, "died", error=_how(process.exitcode))
    finally:
        ours.close()
        process.join()
        del _running[order.sweep_id, order.number]
        _asked.discard(process.pid)
    return outcome


def begun_trials(sweep_id: int) -> list[int]:
    """The numbers of the trials of a sweep that this worker trains now."""
    return [number for sweep, number in list(_running) if sweep == sweep_id]


def stop_trials(sweep_id: int) -> int:
    """Ask the trials of a sweep that this worker trains to stop, each once; it keeps what it has trained.

    Returns
    -------
    int
        How many have not ended yet.
    """
    mine = [process for (sweep, _), process in list(_running.items()) if sweep == sweep_id]
    for process in mine:
        if process.pid not in _asked:  # again, it would interrupt what keeps its results
            _asked.add(process.pid)
            process.terminate()
    return len(mine)


def prune_trial(sweep_id: int, number: int) -> None:
    """Ask a trial to stop, if this worker trains it, as a search has seen enough of it."""
    process = _running.get((sweep_id, number))
    if process is not None and process.pid is not None:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(process.pid, PRUNE)


def _train(connection: Connection, order: Order, environment: Mapping[str, str]) -> None:
    from simulations.sweeps.trial import train_trial

    train_trial(connection, order, environment)


def _how(exitcode: int | None) -> str:
    how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit status {exitcode}"
    return f"its process died ({how}); if memory ran out, train fewer trials at once (--workers)"
