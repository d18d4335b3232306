"""Sweeps of any size, written through the store instead of trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from shared.metrics.point import MetricPoint
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial

STRATEGIES = ("fedavg", "fedprox", "fedadam", "scaffold", "fedavgm")
CONFIG = {"name": "digits-cnn", "description": "", "trainer": {"monitor": "val/accuracy", "mode": "max"}}


def fill(store: Store, *, rates: Sequence[float], strategies: Sequence[str], seeds: Sequence[int]) -> int:
    """A sweep over strategies and learning rates, all trials completed, with curves.

    Its answer is known: accuracy falls with the square of the distance of the learning rate's logarithm from
    that of 0.03, and each strategy is 0.01 above the next.
    """
    cells = list(itertools.product(strategies, rates))
    trials = [
        NewTrial([f"strategy={name}", f"trainer.optimizer.lr={rate}"], seed, {**CONFIG, "seed": seed}, "d")
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
