from __future__ import annotations

from pathlib import Path

from service.read.run_settings import differing_settings
from shared.tracking.store import Store
from tests.service.rows_kit import new_run


def test_only_what_differs_is_told_and_no_password(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'fedtwin.db'}") as store:
        same = {"name": "a", "seed": 1, "model": {"name": "cnn"}}
        url = "postgresql://me:hunter2@db/x"
        one = new_run(store, config={**same, "trainer": {"lr": 0.1, "steps": [1, 2]}, "url": "x"})
        two = new_run(store, config={**same, "trainer": {"lr": 0.2, "steps": [1, 2]}, "url": url, "name": "b"})
        three = new_run(store, config={**same, "trainer": {"steps": [3]}, "url": "x"})
        found = differing_settings([one, two, three])["settings"]
    assert found == {
        "trainer.lr": {one.id: 0.1, two.id: 0.2, three.id: None},
        "trainer.steps": {one.id: "[1, 2]", two.id: "[1, 2]", three.id: "[3]"},
        "url": {one.id: "x", two.id: "postgresql://me:***@db/x", three.id: "x"},
    }


def test_a_search_finds_what_the_list_shows(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'fedtwin.db'}") as store:
        prox = {"strategy": {"name": "fedprox"}}
        pooled = new_run(store, training_mode="centralized", config=prox, name="x", seed=17).id
        federated = new_run(store, training_mode="federated", config=prox, name="y").id
        store.runs.tag(pooled, add=["final"])
        store.runs.finish(federated, "failed", error="QuorumError: 1 of 3")

        def found(text: str) -> list[int]:
            return [run.id for run in store.runs.search(text=text)]

        assert found("pooled") == [pooled]
        assert found("FINAL") == [pooled]
        assert found("17") == [pooled]
        assert found("failed quorum") == [federated]
        assert found("fedprox") == [federated], "a pooled run has no strategy, whatever its settings say"
