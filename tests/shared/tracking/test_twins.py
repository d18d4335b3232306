"""The tested epochs and rounds of a comparison in a sentence, and its warnings."""

from __future__ import annotations

from typing import Any

from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import family, warnings_of, when_tested


def add(store: Store, mode: str, parent: int | None = None, *, seed: int = 1, **summary: Any) -> RunRow:
    run_id = store.runs.create(name="x-client-0", training_mode=mode, config={}, seed=seed, parent_id=parent)
    store.runs.update(run_id, summary=summary)
    return store.runs.get(run_id)


def test_one_seed(store: Store) -> None:
    parent = add(store, "compare", warnings=["less than asked for"]).id
    add(store, "centralized", parent, test_epoch=4, warnings=["never predicts b"])
    add(store, "federated", parent, test_round=9, warnings=["first round"])
    add(store, "local", parent, test_epoch=2, warnings=["a"])
    runs = family(store, parent)
    assert when_tested(runs) == "Tested after epoch 4 (pooled) and round 9 (federated)."
    assert warnings_of(runs) == [
        "less than asked for",
        "pooled: never predicts b",
        "federated: first round",
        "x-client-0: a",
    ]
    assert warnings_of(runs[1:2]) == ["never predicts b"]


def test_several_seeds(store: Store) -> None:
    parent = add(store, "compare").id
    for seed, epoch in ((1, 4), (2, 6)):
        add(store, "centralized", parent, seed=seed, test_epoch=epoch)
        add(store, "federated", parent, seed=seed, test_round=9 - seed, warnings=["w"] * (seed == 2))
    runs = family(store, parent)
    assert when_tested(runs) == "Tested after epochs 4, 6 (pooled) and rounds 8, 7 (federated)."
    assert warnings_of(runs) == ["federated, seed 2: w"]


def test_runs_that_were_not_tested_yet(store: Store) -> None:
    assert when_tested([add(store, "centralized", test_epoch=4), add(store, "federated")]) == ""
    assert when_tested([]) == ""
