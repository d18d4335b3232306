"""The process of one trial, as a worker starts it."""

from __future__ import annotations

import multiprocessing.forkserver
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.sweeps.plan import read_plan
from simulations.sweeps.order import Order
from simulations.sweeps.sweep import plan_sweep
from simulations.sweeps.worker import prune_trial, run_trial


@pytest.fixture
def ends_fork_server():
    yield
    multiprocessing.forkserver._forkserver._stop()  # otherwise it lives as long as this process


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_run_of_a_pruned_trial_says_so(store, home, two_classes, ends_fork_server):
    settings = {
        "data": "npz",
        "data.path": str(two_classes),
        "data.image_size": 8,
        "model.widths": [2, 4],
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 100_000,
    }
    asked = read_plan({"mode": "pooled", "settings": settings, "seeds": [1]})
    sweep_id = plan_sweep(asked, store=store, home=home)
    order = Order(
        sweep_id=sweep_id,
        number=1,
        mode=asked.mode,
        config=store.trials.config(sweep_id, 1),
        home=str(home.root),
        database_url=home.database_url,
        threads=1,
    )
    prune_trial(sweep_id, 1)  # it does not run: there is nothing to stop
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(run_trial, order)
        while not ended.done():
            run_id = store.trials.get(sweep_id, 1).run_id
            if run_id is not None and store.metrics.of_run(run_id):
                break
            time.sleep(0.1)
        store.trials.finish(sweep_id, 1, "pruned")
        prune_trial(sweep_id, 1)
        assert ended.result().status == "stopped"
    (run,) = store.runs.children(sweep_id)
    assert (run.status, run.stop_reason) == ("stopped", "pruned by the search")
    assert store.trials.get(sweep_id, 1).status == "pruned"
