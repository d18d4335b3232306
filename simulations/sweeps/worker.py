"""`run_trial`: what a Dask worker does: it starts a process for a trial, and waits for its outcome.

A trial has a process of its own, so that it begins like a command of its own, with the same results, and
nothing of it is left when it ends. The process is forked from one that has imported what trials need.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.process import BaseProcess

from shared.runtime.main_module import without_main
from simulations.sweeps.order import Order, Outcome
from simulations.sweeps.trial import train_trial

_IMPORTS = [  # the first imports the others in the fast way
    *("simulations.compare", "federated.server.app", "federated.client.app", "simulations.resuming"),
    *("simulations.engine.worker", "simulations.sweeps.trial"),
]
_running: dict[tuple[int, int], BaseProcess] = {}  # of this worker, by sweep and trial


def run_trial(order: Order) -> Outcome:
    """Train a trial in a process of its own.

    Returns
    -------
    Outcome
        The trial's row in the store says the same, unless its process died.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTS)
    ours, theirs = context.Pipe(duplex=False)
    # A daemon, which Dask's workers are, may start no processes.
    vars(multiprocessing.current_process())["_config"]["daemon"] = False
    process = context.Process(target=train_trial, args=(theirs, order, dict(os.environ)), daemon=True)
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
    return outcome


def stop_trials(sweep_id: int, number: int | None = None) -> None:
    """Ask trials of a sweep that this worker trains to stop, all or one; each keeps what it has trained."""
    for (sweep, trial), process in list(_running.items()):
        if sweep == sweep_id and number in (None, trial):
            process.terminate()


def _how(exitcode: int | None) -> str:
    how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit status {exitcode}"
    return f"its process died ({how}); if memory ran out, train fewer trials at once (--workers)"
