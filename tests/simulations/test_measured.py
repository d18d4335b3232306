"""What was measured before a later part of a comparison failed is printed, with how to go on."""

from __future__ import annotations

import pytest

from federated.server.rounds import Rounds
from shared.runtime.errors import FederationError
from simulations.execute import execute

SMALL = (
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "federation.workers=1",
    "compare.seeds=[1,2]",
    "compare.resamples=100",
)


def test_what_finished_twins_measured_is_printed(make_config, store, home, monkeypatch, capsys):
    begun = []
    begin = Rounds.__init__

    def fails_the_second_time(self, *args, **more):
        begun.append(self)
        if len(begun) > 1:
            raise FederationError("the power went out")
        begin(self, *args, **more)

    monkeypatch.setattr(Rounds, "__init__", fails_the_second_time)
    with pytest.raises(FederationError, match="the power went out"):
        execute(make_config(*SMALL), "compare", store=store, home=home)
    runs = {run.id: run for run in store.runs.search()}
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("measured before this")]
    done = [run for run in runs.values() if run.status == "completed"]
    assert sorted(run.training_mode for run in done) == ["centralized", "centralized", "federated"]
    assert len(told) == len(done)
    for run in done:
        (line,) = (line for line in told if f"run {run.id}, seed {run.seed} (test): " in line)
        assert f"{run.summary['test']['auroc']:.3f}" in line
