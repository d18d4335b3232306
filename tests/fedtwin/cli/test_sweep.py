"""The command `sweep`, up to the first trial; and what other commands say of a sweep."""

from __future__ import annotations

import csv
import json

import pytest

from fedtwin.cli.sweep import closing_line
from fedtwin.sweeps import load_sweep
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial

SMALL = ("model.widths=[2,4]", "model.hidden=8", "trainer.accelerator=cpu", "partition=iid")


@pytest.fixture
def swept(home, fedtwin) -> int:
    """A sweep of two cells and two seeds, one of whose trials has run; written by hand."""
    with Store(home.database_url) as store:
        trials = [
            NewTrial([f"strategy={name}"], seed, {"name": "digits", "description": "", "seed": seed}, "d")
            for seed in (1, 2)
            for name in ("fedavg", "fedprox")
        ]
        summary = {"sweep": {"trials": 4, "mode": "federated", "retries": 1}}
        sweep = store.trials.create(trials, name="mine", description="", config={}, summary=summary)
        for number, accuracy in ((1, 0.75), (3, 0.5)):
            run = store.trials.begin(sweep, number, mode="federated")
            store.runs.update(run, summary={"test": {"accuracy": accuracy}})
            store.runs.finish(run, "completed")
            store.trials.finish(sweep, number, "completed")
        store.trials.finish(sweep, 2, "failed", error="DivergedError: the loss is not finite")
        store.runs.claim(sweep)
        store.runs.finish(sweep, "stopped")
    return sweep


def test_a_plan_is_checked_and_printed(fedtwin, home, two_classes):
    data = ("data=npz", f"data.path={two_classes}", "data.image_size=8")
    code, _, err = fedtwin("sweep", "--dry-run", "strategy=fedavg,fedprox", *SMALL, *data, "--seeds", "1,2")
    assert code == 0
    assert "4 trials (comparison): 2 cells x 2 seeds (1, 2)" in err
    assert "   2  strategy=fedprox" in err
    with Store(home.database_url) as store:
        assert store.runs.search() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("strategy=fedavg,fedprxo", "modle=cnn"), "did you mean fedprox?"),
        (("strategy=fedavg,fedprxo", "modle=cnn"), "modle: there is no such setting; did you mean model?"),
        ((), "a sweep needs settings with several values: fedtwin sweep strategy="),
        (("sweep=strategis",), "sweep=strategis: there is no such plan; there are\n  - learning_rate\n"),
        (("sweep=../data/digits",), "there is no such plan"),
        (("sweep=strategies", "--plan", "mine.yaml"), "name one plan"),
        (("--plan", "nowhere.yaml"), "the plan nowhere.yaml cannot be read: No such file"),
        (("--cell", "strategy"), "strategy has no value; settings are written KEY=VALUE"),
        (("seed=1,2", "--seeds", "1,x"), "expected whole numbers such as 1,2,3, got '1,x'"),
        (("seed=1,2", "--mode", "both"), "invalid choice: 'both'"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(arguments, says, fedtwin):
    code, _, err = fedtwin("sweep", *arguments)
    assert code == 2
    assert says in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- strategy", "must have names and values"),
        ("grid: [", "is no YAML"),
        ("grid: 3", "sweep.grid: expected"),
    ],
)
def test_a_file_that_is_no_plan(text, says, fedtwin, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    code, _, err = fedtwin("sweep", "--plan", str(path))
    assert code == 2
    assert says in err


def test_a_sweep_is_listed_shown_and_exported(swept, fedtwin):
    _, out, _ = fedtwin("runs", "--mode", "sweep", "--format", "json")
    (run,) = json.loads(out)
    assert (run["id"], run["training_mode"]) == (swept, "sweep")
    _, out, _ = fedtwin("show", str(swept))
    assert "1 waiting, 2 completed, 1 failed" in out
    assert "accuracy on the test rows, mean over the seeds, 95 % CI" in " ".join(out.split())
    assert "0.625" in out
    _, out, _ = fedtwin("show", str(swept + 1))
    assert f"{swept} (trial 1)" in out
    _, out, _ = fedtwin("show", str(swept), "--format", "json")
    assert [trial["status"] for trial in json.loads(out)["trials"]] == [
        "completed",
        "failed",
        "completed",
        "waiting",
    ]
    _, out, _ = fedtwin("export", str(swept))
    second = list(csv.DictReader(out.splitlines()))[1]
    assert (second["settings"], second["run_id"], second["error"][:13]) == (
        "strategy=fedprox",
        "",
        "DivergedError",
    )


def test_the_last_line_of_a_sweep_says_what_trains_the_rest(swept, home):
    with Store(home.database_url) as store:
        line = closing_line(store, swept, scheduler="tcp://host:8786")
    assert line == (
        f"sweep {swept} was stopped. Trials: 2 completed, 1 failed, 1 waiting. "
        f"Train the rest: fedtwin resume {swept} --scheduler tcp://host:8786"
    )


def test_a_sweep_goes_on_with_its_own_settings(swept, fedtwin):
    code, _, err = fedtwin("resume", str(swept), "federation.num_rounds=20")
    assert code == 2
    assert "federation.num_rounds=20: a sweep goes on with the settings of its plan" in err
    code, _, err = fedtwin("resume", str(swept + 1), "--workers", "2")
    assert code == 2
    assert "--workers, --scheduler, --results and --keep-models have no effect but on a sweep" in err


def test_a_sweep_goes_with_its_runs(swept, fedtwin, home):
    code, out, err = fedtwin("prune", "--older-than", "0h")
    assert "run" in out + err
    code, _, _ = fedtwin("delete", str(swept), "--with-children", "--yes")
    assert code == 0
    with Store(home.database_url) as store:
        assert store.runs.search() == []


def test_a_stored_sweep_in_python(swept, home):
    found = load_sweep(swept, store=home.root)
    assert not found.complete
    assert found.cells.loc["strategy=fedavg", ["federated", "seeds", "trials"]].tolist() == [0.625, 2, 2]
    assert found.cells.loc["strategy=fedprox", "seeds"] == 0
    assert found.trials.loc[2, "status"] == "failed"
    assert "strategy=fedavg" in str(found)
