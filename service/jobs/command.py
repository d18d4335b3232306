"""``fedtwin worker``: runs jobs of this home's database until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from types import FrameType

from service.jobs.attempt import training_command
from service.jobs.dask_attempt import connect
from service.jobs.worker import Worker
from shared.runtime.home import open_home
from shared.tracking.store import Store


def run_command(options: Namespace) -> None:
    """Run jobs, one at a time; exits with status 130, like the other commands that run until Ctrl-C.

    Raises
    ------
    FedtwinError
    """
    home = open_home()
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)  # also fails early if the database cannot be used
        dask = None if options.scheduler is None else connect(options.scheduler)
        command = training_command(sweep_workers=options.sweep_workers)
        worker = Worker(store, home=home, say=say, lease_s=options.lease, command=command, dask=dask)

        def stop(signum: int, frame: FrameType | None) -> None:
            worker.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        say(f"worker {worker.name}: waiting for jobs")
        worker.run()
    print("stopped", file=sys.stderr)
    sys.exit(130)


def say(line: str) -> None:
    """Print a line for whoever runs the worker."""
    print(line, flush=True)
