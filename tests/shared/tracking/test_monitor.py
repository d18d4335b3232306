"""What chose the best model of a stored run: what it says, or what was the default when it was trained."""

from __future__ import annotations

from typing import Any

import pytest

from shared.tracking.monitor import resumed_monitor, stored_monitor
from shared.tracking.store import Store


@pytest.mark.parametrize(
    ("config", "summary", "monitor", "begun"),
    [
        (
            {},
            {"monitor": {"key": "val/auroc", "mode": "max"}, "classes": ["a", "b"]},
            ("val/auroc", "max"),
            True,
        ),
        ({}, {"classes": ["a", "b"]}, ("val/recall", "max"), True),  # the default of version 0.1
        ({}, {"classes": ["a", "b", "c"]}, ("val/accuracy", "max"), True),
        ({}, {"confusion": [[1, 0], [0, 1]]}, ("val/recall", "max"), False),
        ({}, {}, ("val/loss", "min"), False),
        ({"trainer": {"monitor": "val/own", "mode": "min"}}, {"classes": ["a"]}, ("val/own", "min"), True),
        ({"trainer": {"monitor": "val/own", "mode": None}}, {"classes": ["a"]}, ("val/own", None), False),
        ({"trainer": {"monitor": "val/loss"}}, {}, ("val/loss", "min"), False),
    ],
)
def test_what_chose_the_best_model(
    store: Store, config: dict[str, Any], summary: dict[str, Any], monitor: tuple[str, str], begun: bool
) -> None:
    run_id = store.runs.create(name="x", training_mode="federated", config=config, seed=1)
    store.runs.update(run_id, summary=summary)
    run = store.runs.get(run_id)
    assert stored_monitor(run) == monitor
    assert resumed_monitor(run) == (monitor if begun else None)
