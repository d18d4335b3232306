"""`open_cluster`: the Dask workers of a sweep on this machine, each a process with one trial at a time."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import psutil

from shared.config.config import Config
from shared.runtime.counts import count_of
from shared.runtime.errors import ConfigError, FedtwinError
from shared.runtime.main_module import without_main
from shared.runtime.waiting import waiting

if TYPE_CHECKING:
    from distributed import Client

TRIAL_BYTES = 3 * 2**29  # memory of a worker, the process that it forks trials from, and a small trial
_START_S = 120
_ANSWER_S = 10
# What Dask does though nothing happens, and a sweep has no use for: left as it is, it takes 10 % of a core
# from the trials of two workers.
_QUIET: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,  # it looks at every thread a hundred times a second
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.tick.limit": "1 h",
    "distributed.admin.tick.cycle": "10 s",
    "distributed.admin.system-monitor.interval": "10 s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.client.heartbeat": "30 s",
    "distributed.client.scheduler-info-interval": "10 s",
    "distributed.scheduler.active-memory-manager.start": False,
}
_HTTP = "127.0.0.1:0"  # without an address, Dask serves its pages to the network, on a port that may be taken


class SchedulerLost(FedtwinError):
    """The scheduler of a sweep does not answer, or has no workers."""


@dataclass(frozen=True)
class Share:
    """How many trials train at once, and with what.

    Attributes
    ----------
    threads : int
        Cores, and PyTorch's threads, of each.
    """

    workers: int
    threads: int

    def describe(self) -> str:
        """One line for people."""
        who = "one trial after another" if self.workers == 1 else f"{self.workers} trials in parallel"
        return f"training {who} (--workers), {count_of(self.threads, 'thread')} each"


def share_out(configs: Sequence[Config], *, trials: int, workers: int | None) -> Share:
    """What the command says, and where it says nothing what this machine allows.

    Parameters
    ----------
    configs : sequence of Config
        Of all trials.
    trials : int
        How many are to be trained.
    workers : int, optional
        As many as cores, memory and GPUs allow, by default.
    """
    threads = max(max(cfg.federation.client_cpus, cfg.trainer.num_threads or 1) for cfg in configs)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [cores // threads, psutil.virtual_memory().available // TRIAL_BYTES, *_gpu_limits(configs)]
    return Share(workers=min(workers or max(1, min(limits)), max(1, trials)), threads=threads)


@contextmanager
def open_cluster(share: Share) -> Iterator[Client]:
    """Start the workers, and end them with the block.

    Only this process may use them: they and the scheduler speak TLS, with a certificate of this cluster's own.

    Raises
    ------
    ConfigError
        Dask is not installed.
    """
    need_dask()
    with waiting(f"starting {count_of(share.workers, 'worker')}"):
        import dask
        from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the coordinator says what happens
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), share.threads)
    settings: dict[str, Any] = {
        **_QUIET,
        "logging": {"distributed": "critical"},
        "distributed.scheduler.allowed-failures": 0,  # whether a trial is tried again, the coordinator says
        "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": 65536, **threads},
        "distributed.comm.timeouts.connect": f"{_START_S} s",
    }
    with tempfile.TemporaryDirectory(prefix="fedtwin-sweep-") as folder, dask.config.set(settings):
        with without_main(), _without_interrupts():
            cluster = LocalCluster(
                n_workers=share.workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # a trial is a process of its own, which Dask does not see
                host="127.0.0.1",
                protocol="tls",
                security=True,
                dashboard_address=_HTTP,
                worker_dashboard_address=_HTTP,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
            )
            client = Client(cluster)
        try:
            if find_spec("bokeh"):
                print(f"Dask's dashboard: {cluster.dashboard_link}")
            yield client
        finally:
            client.close()
            cluster.close()


def need_dask() -> None:
    """Say how Dask is installed where it is not.

    Raises
    ------
    ConfigError
    """
    if find_spec("distributed") is None:
        raise ConfigError("a sweep runs on Dask, which is not installed: pip install 'fedtwin[sweep]'")


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """The workers of a scheduler that runs already, which go on when the block ends.

    Raises
    ------
    ConfigError
        Dask is not installed.
    SchedulerLost
        Nobody answers there, or it has no workers.
    """
    need_dask()
    with waiting(f"connecting to {address}"):
        import dask
        from distributed import Client

        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            with dask.config.set(_QUIET):
                client = Client(address, timeout=_ANSWER_S)
        except (OSError, ValueError, TypeError) as error:  # the latter two: of what is no address
            raise SchedulerLost(
                f"no Dask scheduler answers at {address} ({type(error).__name__}: {error}); start one with "
                f"`dask scheduler`, and its workers with `dask worker {address}`"
            ) from None
    try:
        try:
            client.wait_for_workers(1, timeout=_ANSWER_S)  # they may have been started with it
        except TimeoutError:
            raise SchedulerLost(
                f"the scheduler at {address} has no workers; start some: dask worker {address}"
            ) from None
        if (link := client.dashboard_link) and "dashboard" in client.scheduler_info().get("services", {}):
            print(f"Dask's dashboard: {link}")
        yield client
    finally:
        client.close(timeout=2)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    # Ctrl-C reaches every process of the terminal; workers inherit this and leave it to the coordinator. It is
    # delivered here at the end of the block.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _gpu_limits(configs: Sequence[Config]) -> list[int]:
    from federated.launch.capacity import capacity

    found = []
    for cfg in configs:
        if not cfg.trainer.wants_gpu:
            continue
        share = capacity(cfg.replace("federation", workers=None)).gpus
        found += [max(1, int(1 / share))] if share else []
    return found
