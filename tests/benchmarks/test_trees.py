"""The benchmark of trees trains what it says, and finds the federated model to be the pooled one."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import trees


def test_systems_train_on_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "HELD_OUT", 1000)
    args = argparse.Namespace(rows=4000, inputs=7, trees=5, depth=4, clients=3)
    found = {system: trees.one(system, args) for system in trees.SYSTEMS}
    assert found["pooled"]["model"] == found["federated"]["model"] != ""
    assert (
        found["pooled"]["auc"]
        == found["federated"]["auc"]
        == pytest.approx(found["scikit-learn"]["auc"], abs=0.01)
    )
