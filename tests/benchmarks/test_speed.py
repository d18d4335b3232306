"""The benchmark's parts, nothing timed: the loops agree, the arithmetic is right, nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.speed.goals import Spread, judge, ratio, spread
from benchmarks.speed.handover import TASK, Mark, Plan, Task, read_marks
from benchmarks.speed.images import data_of
from benchmarks.speed.meter import Measurement, child_environment
from benchmarks.speed.plan import make_plan
from benchmarks.speed.sample import Sample, make_sample
from benchmarks.speed.table import markdown
from benchmarks.speed.task import Net, area_under_curve
from benchmarks.speed.workloads import WORKLOADS, Workload

TINY = Workload("tiny", model="cnn", clients=4, sampled=3, rounds=2, images=12, batch=5, lr=0.1)
REPEATED_S = 120.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """29 training, 9 validation and 10 test images of 28 x 28, as MedMNIST's."""
    rng, arrays = np.random.default_rng(0), {}
    for side, count in (("train", 29), ("val", 9), ("test", 10)):
        arrays[f"{side}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{side}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def _sample(workload: str, system: str, run: int, **figures: float) -> Sample:
    return Sample(workload, system, run, **figures)


def test_the_bare_loop_gives_the_same_weights_in_one_process_and_in_two(data: Path, tmp_path: Path) -> None:
    data = data_of(TINY, data=data, folder=tmp_path)
    plan = make_plan(TINY, data=data, cache=tmp_path / "cache")
    assert np.array_equal(np.bincount(plan.owner), [12] * 4)
    assert [[len(rows) for rows in clients] for clients in plan.orders] == [[12] * 3] * 2
    plan.save(tmp_path / "plan.npz")
    saved = []
    for processes in (1, 2):
        marks = tmp_path / f"marks-{processes}.jsonl"
        task = Task(TINY, data=str(data), plan=str(tmp_path / "plan.npz"), marks=str(marks))
        task.write(tmp_path / "task.json")
        save = tmp_path / f"{processes}.npz"
        subprocess.run(
            [sys.executable, "-m", "benchmarks.speed.bare", f"--processes={processes}", f"--save={save}"],
            env=child_environment(**{TASK: str(tmp_path / "task.json")}),
            check=True,
            timeout=REPEATED_S,
        )
        assert [mark.round for mark in read_marks(marks)] == [0, 1, 2]
        with np.load(save) as stored:
            saved.append([stored[name] for name in stored.files])
    for one, two, first in zip(*saved, plan.weights, strict=True):
        assert np.array_equal(one, two)
        assert not np.array_equal(one, first)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    orders = [[np.array([3, 1]), np.array([2])], [np.array([0]), np.array([1, 3])]]
    weights = [np.full((2, 2), 0.5, np.float32), np.array(7)]
    Plan(owner=np.array([1, 0, 1, 0]), orders=orders, weights=weights).save(tmp_path / "plan.npz")
    plan = Plan.load(tmp_path / "plan.npz")
    assert [[list(rows) for rows in clients] for clients in plan.orders] == [[[3, 1], [2]], [[0], [1, 3]]]
    assert list(plan.owner) == [1, 0, 1, 0]
    assert all(np.array_equal(*pair) for pair in zip(plan.weights, weights, strict=True))


@pytest.mark.parametrize("name", WORKLOADS)
def test_our_settings_of_each_workload_are_valid(name: str, data: Path) -> None:
    from shared.config.compose import compose

    workload = WORKLOADS[name]
    cfg = compose(workload.overrides(str(data)))
    assert cfg.federation.num_clients == workload.clients
    assert int(cfg.strategy.fraction_train * workload.clients) == workload.sampled


def test_the_network_has_as_many_weights_as_ours(data: Path) -> None:
    from shared.config.compose import compose
    from shared.model.backbones import build_network

    ours = build_network(compose(WORKLOADS["W"].overrides(str(data))), num_outputs=2).state_dict()
    assert [value.shape for value in Net().state_dict().values()] == [value.shape for value in ours.values()]


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 60) / 4, rng.integers(0, 2, 60)
    assert area_under_curve(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_a_round_is_the_mean_of_all_but_the_first() -> None:
    # 100 s to 120 s, half a core; rounds end at 106, 109 and 112
    measured = Measurement(
        status=0, began=100, wall_s=20, cpu_s=10, peak_bytes=3_000_000, times=[100, 120], cpu=[0, 10]
    )
    marks = [Mark(0, 102), Mark(1, 106), Mark(2, 109), Mark(3, 112, loss=0.5, auc=0.75)]
    sample = make_sample("W", "bare", run=1, rounds=3, measured=measured, marks=marks)
    assert (sample.round_wall, sample.round_cpu) == (3, 1.5)
    assert (sample.rest_wall, sample.rest_cpu) == (20 - 9, 10 - 4.5)
    assert (sample.memory, sample.loss, sample.auc) == (3, 0.5, 0.75)


@pytest.mark.parametrize(
    ("status", "rounds", "said"), [(1, 2, "status 1"), (0, 3, "2 of 3"), (None, 2, "long")]
)
def test_a_command_that_failed_has_no_figures(status: int | None, rounds: int, said: str) -> None:
    measured = Measurement(status=status, began=0, wall_s=9, cpu_s=9, peak_bytes=1, times=[0, 9], cpu=[0, 9])
    marks = [Mark(1, 2), Mark(2, 4)]
    sample = make_sample("W", "bare", run=1, rounds=rounds, measured=measured, marks=marks)
    assert not sample.counted
    assert sample.error is not None
    assert said in sample.error


def test_medians_and_ratios_are_of_the_counted_runs() -> None:
    samples = [
        *(_sample("W", "bare", run, wall=wall) for run, wall in enumerate([99.0, 2.0, 4.0, 5.0])),
        *(_sample("W", "local", run, wall=wall) for run, wall in enumerate([99.0, 4.0, 2.0, 5.0])),
        Sample("W", "local", 4, error="no"),
        _sample("W", "bare", 4, wall=1000.0),
        _sample("W3", "local", 1, wall=1000.0),
    ]
    assert spread(samples, workload="W", system="local", figure="wall") == Spread(4, 2, 5, 3)
    # run by run 2, 0.5 and 1: not the ratio of the medians, and nothing of the warm-up or of run 4
    found = ratio(samples, workload="W", system="local", against="bare", figure="wall")
    assert found == Spread(1, 0.5, 2, 3)
    assert spread(samples, workload="W", system="pfl", figure="wall") is None
    assert ratio(samples, workload="W", system="local", against="pfl", figure="wall") is None


def test_goals_are_judged_by_the_median_ratio() -> None:
    samples = [_sample("W", "bare", run, round_cpu=4.0, cpu=10.0, wall=1.0) for run in (1, 2, 3)]
    for run, value in [(1, 3.0), (2, 3.0), (3, 9.0)]:
        samples.append(_sample("W", "local", run, round_cpu=value, cpu=13.0, wall=1.0))
    assert {verdict.word for verdict in judge(samples, workloads=["W3"])} == {"not measured"}
    verdicts = [verdict for verdict in judge(samples, workloads=["W", "W2"]) if verdict.ratio]
    assert [(v.goal.figure, v.workload, v.limit, v.ratio, v.word) for v in verdicts] == [
        ("round_cpu", "W", 0.75, Spread(0.75, 0.75, 2.25, 3), "pass"),
        ("cpu", "W", 1.25, Spread(1.3, 1.3, 1.3, 3), "fail"),
    ]
    text = markdown(samples, workloads=WORKLOADS, absent={"pfl": "no wheel"})
    assert "| 0.75 (0.75 to 2.25) | pass |" in text
    assert "| <= 1.25 | 1.30 (1.30 to 1.30) | fail |" in text
    assert "| pfl-research | not available: no wheel |" in text
    assert "### W3" not in text


def test_detached_processes_are_counted_and_ended(tmp_path: Path) -> None:
    # In a process of its own: adopting orphans cannot be undone.
    program = """
import json, sys
from pathlib import Path
from benchmarks.speed.meter import child_environment, measure
from benchmarks.speed.processes import adopt_orphans
adopt_orphans()
busy = "x = sum(i * i for i in range(3_000_000))"
command = ["sh", "-c", f"setsid {sys.executable} -c '{busy}' & setsid sleep 300 & sleep 1; exit 3"]
found = measure(command, env=child_environment(), folder=Path(sys.argv[1]), timeout_s=60)
print(json.dumps([found.status, found.left, found.cpu_s, found.peak_bytes]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=REPEATED_S,
    )
    status, left, cpu_s, peak_bytes = json.loads(done.stdout)
    assert status == 3
    assert "sleep" in left
    assert cpu_s > 0
    assert peak_bytes > 0
