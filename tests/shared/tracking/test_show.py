"""Runs on the terminal, also when a client's name is hostile."""

from __future__ import annotations

import json
import re

import pytest
from rich.console import Console

from shared.runtime.errors import TrackingError
from shared.tracking.show import run_json, run_view, runs_json, runs_table


def printed(renderable) -> str:
    console = Console(width=200, force_terminal=True, color_system="standard", record=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def lines(text: str) -> list[list[str]]:
    """Words of each line of a table, a cell each."""
    return [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in plain(text).splitlines() if "│" in line
    ]


def test_runs_table(store, federated, pooled):
    shown = plain(printed(runs_table(store.runs.search()))).splitlines()[3:]
    first, second = ([cell for cell in re.split(r"  +", line.strip()) if cell] for line in shown)
    assert first[:4] == [str(pooled), "digits-cnn", "pooled", "completed"]
    assert first[4].endswith(" s")
    assert first[6] == "val/accuracy 0.8000"
    assert second[-5:-3] == ["federated", "running"]
    assert second[-1] == "-"
    assert "runs" in plain(printed(runs_table([])))


def test_runs_json(store, federated, pooled):
    first, second = json.loads(json.dumps(runs_json(store.runs.search()), allow_nan=False))
    assert (first["id"], first["best_metric"]) == (pooled, {"name": "val/accuracy", "value": 0.8})
    assert first["seconds"] >= 0
    assert (second["id"], second["status"], second["best_metric"]) == (federated, "running", None)
    assert "config" not in first


def test_what_tells_runs_apart(store):
    def begin(mode, *, lr, seed, **more):
        config = {
            "name": f"n{lr}",
            "seed": seed,
            "trainer": {"optimizer": {"lr": lr}},
            "model": {"name": "cnn"},
        }
        return store.runs.create(name="x", training_mode=mode, config={**config, **more}, seed=seed)

    begin("centralized", lr=0.1, seed=1)
    begin("centralized", lr=0.2, seed=1)
    begin("federated", lr=0.3, seed=1)  # the only one of its mode
    begin("centralized", lr=0.2, seed=1, model={"name": "resnet18", "widths": [1]})
    told = [one["differs_in"] for one in runs_json(store.runs.search())][::-1]
    assert told == [
        {"lr": "0.1"},
        {"model": "cnn", "lr": "0.2"},
        {},
        {"model": "resnet18"},
    ]
    assert "model=cnn, lr=0.2" in plain(printed(runs_table(store.runs.search())))
    assert "differs in" not in plain(printed(runs_table(store.runs.search(mode="federated"))))


def test_what_most_share_is_not_what_tells_apart(store):
    def begin(data, confidence):
        config = {"data": {"name": data}, "partition": {"name": data}, "compare": {"confidence": confidence}}
        store.runs.create(name="x", training_mode="compare", config=config, seed=1)
        store.runs.create(name="x", training_mode="centralized", config=config, seed=1)

    for data, confidence in (("digits", 0.95), ("digits", 0.9), ("digits", 0.8), ("npz", 0.7)):
        begin(data, confidence)
    runs = store.runs.search(mode="compare")[::-1]
    told = [one["differs_in"] for one in runs_json(runs)]
    assert told == [{"confidence": "0.95"}, {"confidence": "0.9"}, {"confidence": "0.8"}, {"data": "npz"}]
    assert runs_json(runs[:3])[0]["differs_in"] == {"confidence": "0.95"}, "all are of the same data"
    pooled = store.runs.search(mode="centralized")[::-1]
    assert [one["differs_in"] for one in runs_json(pooled[:3])] == [{}] * 3, "it has no effect on them"


def test_a_value_says_of_which_epoch_it_is(store, pooled):
    store.runs.update(pooled, summary={"test_epoch": 2})
    text = plain(printed(run_view(store, pooled)))
    for head in ("train, epoch 3", "val, epoch 3", "test, epoch 2"):
        assert head in text, "the test is of the chosen model, not of the last epoch"


def test_the_monitored_metric_is_the_headline(store):
    config = {"trainer": {"monitor": "val/recall"}}
    run_id = store.runs.create(name="x", training_mode="centralized", config=config, seed=1)
    store.runs.update(run_id, summary={"best": {"accuracy": 0.9, "recall": 0.25}})
    assert runs_json(store.runs.search())[0]["best_metric"] == {"name": "val/recall", "value": 0.25}


def test_run_view_of_a_federated_run(store, federated):
    text = printed(run_view(store, federated))
    rows = lines(text)
    assert ["loss", "-", "0.6", "-"] in rows
    assert ["accuracy", "-", "0.75", "0.5"] in rows
    assert ["auroc", "-", "nan", "-"] in rows
    assert ["1", "b", "10", "-", "-", "-", "-"] in rows
    assert ["1", "2", "2", "2.0", "2.50", "1.00", ""] in rows
    assert rows[-1][:6] == ["2", "2", "1", "2.0", "2.50", "1.00"]
    assert rows[-1][6].startswith("b: [red]St. Mary[/]")
    assert "data.name=digits  federation.num_rounds=2" in plain(text)


def test_run_view_of_a_pooled_run(store, pooled):
    text = plain(printed(run_view(store, pooled)))
    assert "val/accuracy did not improve" in text
    assert ["loss", "0.3333", "-", "-"] in lines(text)
    assert "clients" not in text
    assert "rounds" not in text


def test_twins_are_named(store):
    parent = store.runs.create(name="p", training_mode="compare", config={}, seed=1)
    child = store.runs.create(name="c", training_mode="local", config={}, seed=1, parent_id=parent)
    assert f"{child} (local)" in plain(printed(run_view(store, parent)))
    assert re.search(rf"comparison +{parent}\n", re.sub(" +\n", "\n", plain(printed(run_view(store, child)))))


@pytest.mark.parametrize("view", [lambda store, run_id: runs_table(store.runs.search()), run_view])
def test_text_of_others_is_shown_as_it_is_and_moves_no_cursor(store, federated, view):
    text = printed(view(store, federated))
    assert "[red]St. Mary[/]  [2J \\" in plain(text)
    assert "\x1b" not in plain(text)  # only rich's own colours
    assert "\u202e" not in text


def test_long_reasons_are_cut(store):
    run_id = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    store.runs.finish(run_id, "failed", error="e" * 10_000)
    assert plain(printed(run_view(store, run_id))).count("e" * 10) < 60


def test_run_json(store, federated):
    found = json.loads(json.dumps(run_json(store, federated), allow_nan=False))
    assert found["run"]["id"] == federated
    assert found["best"] == {"accuracy": 0.75, "loss": 0.6}
    assert {(row["client_id"], row["round"]) for row in found["latest"]} == {(None, 2), (0, 2)}
    assert [row["num_examples"] for row in found["clients"]] == [30, 10]
    assert found["rounds"][1]["replied"] == [0]
    assert found["children"] == []


def test_a_run_that_is_not_there(store):
    for show in (run_view, run_json):
        with pytest.raises(TrackingError, match="no run 5"):
            show(store, 5)
