"""Sweeps of any size, written through the store instead of trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.metrics.point import MetricPoint
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial
from simulations.sweeps.cells import cells_of_sweep

STRATEGIES = ("fedavg", "fedprox", "fedadam", "scaffold", "fedavgm")
CONFIG = {"name": "digits-cnn", "description": ""}


def _config(strategy: str, rate: float, seed: int) -> dict[str, Any]:
    trainer = {"monitor": "val/accuracy", "mode": "max", "optimizer": {"lr": rate}}
    return {**CONFIG, "seed": seed, "trainer": trainer, "strategy": {"name": strategy}}


def fill(store: Store, *, rates: Sequence[float], strategies: Sequence[str], seeds: Sequence[int]) -> int:
    """A sweep over strategies and learning rates, all trials completed, with curves.

    Its answer is known: accuracy falls with the square of the distance of the learning rate's logarithm from
    that of 0.03, and each strategy is 0.01 above the next.
    """
    cells = list(itertools.product(strategies, rates))
    trials = [
        NewTrial([f"strategy={name}", f"trainer.optimizer.lr={rate}"], seed, _config(name, rate, seed), "d")
        for seed in seeds
        for name, rate in cells
    ]
    plan = {"trials": len(trials), "mode": "federated", "retries": 1}
    sweep_id = store.trials.create(
        trials, name="strategies and learning rates", description="", config={}, summary={"sweep": plan}
    )
    draw = np.random.default_rng(0)
    for number, trial in enumerate(trials, start=1):
        name, rate = (text.partition("=")[2] for text in trial.settings)
        level = 0.95 - 0.01 * strategies.index(name) - 0.02 * math.log10(float(rate) / 0.03) ** 2
        level += float(draw.normal(0, 0.002))
        run_id = store.trials.begin(sweep_id, number, mode="federated")
        curve = [level * (1 - 0.5**step) for step in range(1, 6)]
        store.metrics.sink(run_id).add(
            [
                MetricPoint(stage="val", name="accuracy", value=value, round=step, num_examples=100)
                for step, value in enumerate(curve, start=1)
            ]
        )
        summary = {
            "test": {"accuracy": level - 0.01},
            "best": {"accuracy": max(curve)},
            "monitor": {"key": "val/accuracy", "mode": "max"},
        }
        store.runs.update(run_id, summary=summary)
        store.runs.finish(run_id, "completed")
        store.trials.finish(sweep_id, number, "completed")
    store.runs.claim(sweep_id)
    store.runs.finish(sweep_id, "completed")
    return sweep_id


def fill_search(store: Store, *, objectives: Sequence[str] = ("metric",)) -> int:
    """A search among ten learning rates: six trials completed, three pruned, one failed, the winner tested.

    Its objectives are known: the accuracy of trial N is 0.9 + N / 1000, and it sends N MB.
    """
    told = {"objectives": list(objectives), "key": "val/accuracy", "mode": "max"}
    plan = {"trials": 10, "mode": "federated", "retries": 0}
    sweep_id = store.trials.create(
        [],
        name="search of 10 trials",
        description="",
        config={},
        summary={"sweep": plan, "search": told},
        seed=1,
    )
    statuses = [*["completed"] * 6, *["pruned"] * 3, "failed", "completed"]
    for number, status in enumerate(statuses, start=1):
        tested = number > 10
        settings = [f"trainer.optimizer.lr={(6 if tested else number) / 100:g}", "federation.local_epochs=2"]
        level = 0.9 + (6 if tested else number) / 1000
        search: dict[str, Any] = {"asked": 5, "tested": True} if tested else {"asked": number - 1, "params": {}}
        if status == "completed" and not tested:
            known = {"metric": level, "bytes": number * 1e6, "gap": 0.01, "seconds": 9.0}
            search["values"] = [known[name] for name in objectives]
        config = _config("fedavg", (6 if tested else number) / 100, 1)
        store.trials.add(sweep_id, [NewTrial(settings, 1, config, "d")], search=search)
        run_id = store.trials.begin(sweep_id, number, mode="federated")
        steps = 5 if status == "completed" else 2
        curve = [level - 0.5 * (1 - step / 5) for step in range(1, steps + 1)]
        store.metrics.sink(run_id).add(
            [
                MetricPoint(stage="val", name="accuracy", value=value, round=n)
                for n, value in enumerate(curve, 1)
            ]
        )
        summary = {"best": {"accuracy": level}, "monitor": {"key": "val/accuracy", "mode": "max"}}
        store.runs.update(run_id, summary=summary | ({"test": {"accuracy": 0.893}} if tested else {}))
        ends = {"pruned": ("stopped", None), "failed": ("failed", "the loss is not finite")}
        end, error = ends.get(status, ("completed", None))
        store.runs.finish(run_id, end, error=error)
        store.trials.finish(sweep_id, number, status, error=error)
    cells = [cell.as_dict() for cell in cells_of_sweep(store, sweep_id)]
    store.runs.update(sweep_id, summary={"cells": cells})
    store.runs.claim(sweep_id)
    store.runs.finish(sweep_id, "completed")
    return sweep_id
