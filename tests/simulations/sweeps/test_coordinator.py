"""How the coordinator stops what Dask's workers have."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import dask
import pytest

from simulations.sweeps import worker
from simulations.sweeps.cluster import Share, open_cluster
from simulations.sweeps.coordinator import Coordinator


def hold(number: int, folder: Path) -> None:
    """Stands for a trial: a process that ends when it is asked to."""
    with subprocess.Popen(["sleep", "60"]) as process:
        worker._running[1, number] = process  # type: ignore[assignment]
        (folder / str(number)).touch()
        process.wait()
    del worker._running[1, number]


@pytest.mark.timeout(120)
def test_what_a_worker_has_in_hand_does_not_begin_when_a_sweep_is_stopped(store, home, tmp_path):
    folder = tmp_path / "begun"
    folder.mkdir()
    coordinator = Coordinator(
        1, mode="federated", retries=0, threads=1, workers_home=None, configs={}, store=store, home=home
    )
    numbers = (1, 2, 3)
    with open_cluster(Share(workers=1, threads=1)) as client:
        client.run(worker.begun_trials, 1)
        (modules,) = client.run(eval, "set(__import__('sys').modules)").values()
        assert not {"sqlalchemy", "torch"} & modules  # its trials' processes alone need them
        (profiled,) = client.run(dask.config.get, "distributed.worker.profile.enabled").values()
        assert not profiled
        futures = [client.submit(hold, number, folder, pure=False) for number in numbers]
        deadline = time.monotonic() + 60
        while not list(folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (first,) = folder.iterdir()
        assert sum(map(len, client.processing().values())) > 1  # it has one more than it trains
        trials = [SimpleNamespace(number=number) for number in numbers]
        coordinator._stop(client, list(zip(trials, futures, strict=True)))
        assert list(client.run(worker.begun_trials, 1).values()) == [[]]
        time.sleep(0.5)
        assert list(folder.iterdir()) == [first]
