"""Whole centralized runs: started, and looked into."""

from __future__ import annotations

import pytest
import torch

from centralized.fit import CHECKPOINTS
from centralized.train import train


@pytest.fixture
def run(make_config, home, store):
    """Train, and give the run row and the checkpoint of a name."""

    def start(*overrides, cfg=None, **more):
        run_id = train(cfg or make_config(*overrides), store=store, home=home, **more)
        return store.runs.get(run_id)

    return start


@pytest.fixture
def checkpoint(home):
    def load(run, name="last"):
        return torch.load(home.run_dir(run.id) / CHECKPOINTS / f"{name}.ckpt", weights_only=True)

    return load


@pytest.fixture
def assert_failed(store):
    """Whether an error says something, and is in the row of the last run."""

    def check(error, *, says):
        assert says in str(error.value)
        run = store.runs.search()[0]
        assert (run.status, run.error) == ("failed", f"{type(error.value).__name__}: {error.value}")

    return check
