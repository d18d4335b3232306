"""``python -m fedtwin.attempt``: one attempt of a job, which the environment names; started by a worker."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Iterator, Sequence

from shared.config.stored import read_snapshot
from shared.runtime.errors import FedtwinError
from shared.runtime.home import Home, keep_private, open_home
from shared.runtime.output import survive_encoding
from shared.runtime.signals import sigterm_as_interrupt
from shared.tracking.fence import FENCE, Fence, Overtaken
from shared.tracking.job_errors import job_failure
from shared.tracking.job_rows import JobRow
from shared.tracking.rows import INTERRUPTED, RunRow
from shared.tracking.store import Store

STOPPED, FAILED = 130, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the job to its end, and write how it ended.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``--sweep-workers N``, see `train`.

    Returns
    -------
    int
        Exit status: 0, `FAILED`, or `STOPPED`, of which the worker knows the reason.
    """
    parser = argparse.ArgumentParser(prog="python -m fedtwin.attempt")
    parser.add_argument("--sweep-workers", type=int, default=0)
    sweep_workers: int = parser.parse_args(arguments).sweep_workers
    survive_encoding()
    keep_private()
    fence = Fence.of_process()
    if fence is None:
        print(f"error: a worker sets {FENCE}; start one with `fedtwin worker`", file=sys.stderr)
        return FAILED
    home = open_home()
    with Store(home.database_url) as store:
        try:
            with sigterm_as_interrupt():
                job = store.jobs.get(fence.job_id)
                train(job, fence=fence, store=store, home=home, sweep_workers=sweep_workers)
                store.queue.complete(fence)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return STOPPED
        except Overtaken as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED
        except Exception as error:
            if isinstance(error, FedtwinError):
                print(f"error: {error}", file=sys.stderr)
            else:
                traceback.print_exc()
            store.queue.fail(fence, job_failure(error))
            return FAILED
    return 0


def train(job: JobRow, *, fence: Fence, store: Store, home: Home, sweep_workers: int) -> None:
    """Begin the run of a job, or resume it from its last completed epoch or round.

    Parameters
    ----------
    sweep_workers : int
        Trials of a sweep at once; 0: as many as this machine allows.

    Raises
    ------
    FedtwinError
    KeyboardInterrupt
        SIGTERM; the run ends as stopped.
    """
    store.runs.settle(home.journals)
    run = None if job.run_id is None else store.runs.find(job.run_id)
    if run is not None:
        if run.status == "completed":
            return  # its process was killed between the end of the run and that of the job
        # A machine that is not this one may have trained it; that attempt is fenced off.
        for unfinished in whole_family(store, run):
            if not unfinished.finished:
                error = f"attempt {job.attempt - 1} of job {job.id} is gone"
                store.runs.finish(unfinished.id, "failed", stop_reason=INTERRUPTED, error=error)
    if job.mode == "sweep":
        from fedtwin.sweep_attempt import train_sweep  # what trains takes seconds to import

        sweep_id = None if run is None else run.id
        train_sweep(job, sweep_id, fence=fence, store=store, home=home, workers=sweep_workers or None)
    elif run is not None:
        from simulations.resuming import resume

        resume(run.id, store=store, home=home)
    else:
        from simulations.execute import Mode, execute

        cfg = read_snapshot(job.config)
        cfg = cfg.replace("tracking", home=str(home.root), database_url=home.database_url)
        run_id = store.queue.begin_run(fence, config=cfg.snapshot(), seed=cfg.seed, description=cfg.description)
        modes: dict[str, Mode] = {
            "centralized": "centralized",
            "federated": "federated",
            "compare": "compare",
        }
        execute(cfg, modes[job.mode], store=store, home=home, run_id=run_id, command=f"job {job.id}")


def whole_family(store: Store, run: RunRow) -> Iterator[RunRow]:
    """A run behind all that are below it: the twins of a comparison, the trials of a sweep and theirs."""
    for child in store.runs.children(run.id):
        yield from whole_family(store, child)
    yield run


if __name__ == "__main__":
    sys.exit(main())
