"""``fedtwin delete``, ``rename`` and ``tag``, and what ``runs`` and ``show`` make of them."""

from __future__ import annotations

import json

import pytest

from tests.job_kit import claimed, fence, submit

MODES = {"compare": None, "centralized": 1, "federated": 1}


@pytest.fixture
def twins(home, store):
    """A comparison, 1, and its runs, 2 and 3, with files."""
    for mode, parent in MODES.items():
        run_id = store.runs.create(name=f"my {mode}", training_mode=mode, config={}, seed=1, parent_id=parent)
        store.runs.finish(run_id, "completed")
        (home.run_dir(run_id) / "checkpoints").mkdir(parents=True)
        (home.run_dir(run_id) / "checkpoints" / "best.ckpt").write_text("weights")
        home.results.mkdir(exist_ok=True)
        for suffix in ("json", "csv"):
            (home.results / f"metrics_{run_id}.{suffix}").write_text("")
    home.comparison_dir(1).mkdir()
    (home.comparison_dir(1) / "gap.png").write_text("")
    (home.results / "metrics_11.csv").write_text("of another run")
    return home


def test_a_comparison_is_deleted_and_its_runs_stay(fedtwin, store, twins):
    code, out, _ = fedtwin("delete", "1", "--yes")
    assert code == 0
    assert out.splitlines() == [
        "run 1  my compare  (comparison, completed)",
        "runs 2, 3 stay, as runs of their own; --with-children deletes them too",
        "deleted 1",
    ]
    assert [run.id for run in store.runs.search()] == [3, 2]
    assert twins.files_of(1) == []
    assert len(twins.files_of(2)) == len(twins.files_of(3)) == 3


def test_a_comparison_is_deleted_with_its_runs(fedtwin, store, twins):
    code, out, _ = fedtwin("delete", "1", "--with-children", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "deleted 1, 2, 3")
    assert store.runs.search() == []
    assert [path.name for path in twins.results.iterdir()] == ["metrics_11.csv"]
    assert list((twins.root / "runs").iterdir()) == []


def test_a_run_of_a_comparison_is_kept(fedtwin, store, twins):
    code, _, err = fedtwin("delete", "2", "--yes")
    assert code == 2
    assert "run 2 belongs to run 1, which shows it; delete both with `fedtwin delete 1 --with-children`" in err
    assert len(twins.files_of(2)) == 3


def test_a_running_run_is_kept(fedtwin, store, home):
    run_id = store.runs.create(name="mine", training_mode="centralized", config={}, seed=1)
    code, _, err = fedtwin("delete", str(run_id), "--yes")
    assert (code, "is still running; stop it before you delete it" in err) == (2, True)


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("YES", 0), ("n", 1), ("", 1)])
def test_it_asks(fedtwin, store, home, monkeypatch, answer, left):
    run_id = store.runs.create(name="mine", training_mode="centralized", config={}, seed=1)
    store.runs.finish(run_id, "stopped")
    questions = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or answer)
    code, _, _ = fedtwin("delete", "1")
    assert questions == ["Delete run 1 with all files? [y/N] "]
    assert (code, len(store.runs.search())) == (2 if left else 0, left)


def test_it_does_not_delete_where_nobody_can_be_asked(fedtwin, store, twins, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    code, _, err = fedtwin("delete", "1")
    assert (code, "pass --yes" in err) == (2, True)
    assert len(store.runs.search()) == 3


def test_a_run_is_renamed(fedtwin, store, twins):
    assert fedtwin("rename", "2", "the best one")[0] == 0
    assert "the best one" in fedtwin("show", "2")[1]
    code, _, err = fedtwin("rename", "2", " ")
    assert (code, "must not be empty" in err) == (2, True)
    assert store.runs.get(2).name == "the best one"


def test_runs_are_tagged_and_found_by_it(fedtwin, store, twins):
    assert fedtwin("tag", "2", "paper", "v1")[1] == "run 2: paper, v1\n"
    assert fedtwin("tag", "3", "paper")[1] == "run 3: paper\n"
    assert fedtwin("tag", "2", "--remove", "v1", "other")[1] == "run 2: paper\n"
    assert fedtwin("tag", "2")[1] == "run 2: paper\n"
    assert fedtwin("tag", "1")[1] == "run 1: no tags\n"
    assert ["tags", "paper"] in [line.split() for line in fedtwin("show", "2")[1].splitlines()]
    listed = json.loads(fedtwin("runs", "--tag", "paper", "--format", "json")[1])
    assert [(run["id"], run["tags"]) for run in listed] == [(3, ["paper"]), (2, ["paper"])]
    assert json.loads(fedtwin("runs", "--tag", "paper", "--limit", "1", "--format", "json")[1])[0]["id"] == 3
    assert "paper" in fedtwin("runs")[1]


@pytest.mark.parametrize("tag", ["two words", "a,b", ""])
def test_a_tag_is_one_word(fedtwin, store, twins, tag):
    code, _, err = fedtwin("tag", "2", tag)
    assert (code, "a tag is one word" in err) == (2, True)
    assert store.runs.get(2).tags == []


@pytest.mark.parametrize("command", [("delete", "7", "--yes"), ("rename", "7", "x"), ("tag", "7", "x")])
def test_there_is_no_such_run(fedtwin, home, command):
    code, _, err = fedtwin(*command)
    assert (code, "there is no run 7" in err) == (2, True)


def test_the_log_of_a_job_goes_with_its_run(fedtwin, store, home):
    for number in (1, 2):
        submit(store)
        row = claimed(store)
        run_id = store.queue.begin_run(fence(row), config={}, seed=1, description="")
        store.runs.finish(run_id, "completed")
        store.queue.complete(fence(row))
        home.job_dir(number).mkdir(parents=True)
    assert store.jobs.of_run(1) == [1]
    assert fedtwin("delete", "1", "--yes")[0] == 0
    assert [path.name for path in (home.root / "jobs").iterdir()] == ["2"]
    store.runs.delete(2)  # and then killed
    assert store.jobs.of_run(2) == [2]
    assert str(home.job_dir(2)) in fedtwin("prune", "--leftovers", "--yes")[1]
    assert list((home.root / "jobs").iterdir()) == []
