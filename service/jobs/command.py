"""``fedtwin worker``: runs jobs of this home's database until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from types import FrameType

from service.jobs.attempt import ThisMachine, training_command
from service.jobs.backend import Backend
from service.jobs.worker import Worker
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home, open_home
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
        backend = _backend(options, home)
        command = training_command(sweep_workers=options.sweep_workers)
        worker = Worker(store, home=home, say=say, lease_s=options.lease, command=command, backend=backend)

        def stop(signum: int, frame: FrameType | None) -> None:
            worker.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        say(f"worker {worker.name}: waiting for jobs")
        worker.run()
    print("stopped", file=sys.stderr)
    sys.exit(130)


def _backend(options: Namespace, home: Home) -> Backend:
    # Those of clusters are imported where they are asked for: httpx and Dask take time.
    if options.ray is not None:
        if options.scheduler is not None:
            raise ConfigError("--ray and --scheduler: a worker has one backend; start one of each")
        from service.jobs.ray_attempt import RayCluster

        cpus = 1 if options.ray_cpus is None else options.ray_cpus
        return RayCluster(options.ray, cpus=cpus, gpus=options.ray_gpus or 0)
    if options.ray_cpus is not None or options.ray_gpus is not None:
        raise ConfigError("--ray-cpus and --ray-gpus reserve a part of a Ray cluster: they need --ray ADDRESS")
    if options.scheduler is not None:
        from service.jobs.dask_attempt import DaskCluster, connect

        return DaskCluster(connect(options.scheduler))
    return ThisMachine(home)


def say(line: str) -> None:
    """Print a line for whoever runs the worker."""
    print(line, flush=True)
