"""A sweep whose command, workers and scheduler are killed at random: every trial once, none lost."""

from __future__ import annotations

import os
import random
import time

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from shared.runtime.home import Home
from shared.tracking.schema import run, run_metrics
from shared.tracking.store import Store

KILLS = int(os.environ.get("FEDTWIN_KILLS", "3"))
SEED = int(os.environ.get("FEDTWIN_KILLS_SEED", "21"))  # with it, three kills are one of each kind
SMALL = ["data=npz", "data.image_size=8", "data.batch_size=8", "model.widths=[8,16]", "trainer.accelerator=cpu"]
EPOCHS, TRIALS = max(20, 4 * KILLS), 8  # each epoch is a place where a trial is killed and goes on
PLAN = [
    *("--mode", "pooled", "--retries", "3", "trainer.optimizer.lr=0.01,0.02", "seed=1,2,3,4"),
    *(f"trainer.max_epochs={EPOCHS}", "trainer.early_stopping.enabled=false", *SMALL),
]
TIMES = ["run", "seconds"]


def reported(home: Home) -> list[dict]:
    """The trials of the report, but for their times and the numbers of their runs."""
    rows = pq.read_table(home.sweep_dir(1) / "trials.parquet").to_pylist()
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.mark.slow
@pytest.mark.attack
@pytest.mark.timeout(3600)
def test_every_trial_once_whatever_is_killed(start, cluster, until, kill, store, home, two_classes, tmp_path):
    data = f"data.path={two_classes}"
    undisturbed = Home(tmp_path / "undisturbed", f"sqlite:///{tmp_path / 'undisturbed' / 'fedtwin.db'}")
    plain = start("fedtwin", "sweep", *PLAN, data, "--workers", "2", FEDTWIN_HOME=str(undisturbed.root))
    assert plain.wait() == 0

    there = cluster()
    command = start("fedtwin", "sweep", *PLAN, data, "--scheduler", there.address)
    draw = random.Random(SEED)
    moments = sorted(draw.sample(range(2, EPOCHS * TRIALS * 8 // 10), KILLS))  # in epochs of all trials
    kept: dict[int, tuple] = {}
    killed = []

    def epochs() -> int:
        query = sa.select(sa.func.count(sa.distinct(run_metrics.c.epoch))).join(run)
        query = query.where(run.c.parent_id == 1, run_metrics.c.stage == "val").group_by(run.c.id)
        return sum(row[0] for row in store.database.select(query))

    def trials():
        return store.trials.of_sweep(1)

    def resume() -> None:
        nonlocal command
        command = start("fedtwin", "resume", "1", "--scheduler", there.address)

    def goes_on(moment: int) -> bool:
        """Whether so many epochs are trained; a command that gave up, for want of tries, is resumed."""
        assert command.poll() != 0, f"it is complete after {len(killed)} kills: more EPOCHS"
        if command.poll() is not None:
            resume()
        running = any(trial.status == "running" for trial in trials())
        return running and epochs() >= moment

    for moment in moments:
        until(lambda: goes_on(moment), seconds=900)  # noqa: B023
        time.sleep(draw.random())
        what = draw.choice(["worker", "command", "scheduler"])
        killed.append(f"{what} at {epochs()} epochs")
        if what == "worker":
            kill(there.workers.pop(draw.randrange(len(there.workers))))
            there.add_worker()
        elif what == "command":
            kill(command)
            resume()
        else:
            kill(there.scheduler)
            assert command.wait(timeout=300) == 2
            said = "".join(path.read_text() for path in tmp_path.glob("said_*"))
            assert "the scheduler is gone; trials that have ended are kept: fedtwin resume 1" in said
            there.begin()
            resume()
        for trial in trials():
            row = store.runs.get(trial.run_id) if trial.status == "completed" else None
            if row is not None:
                now = (row.id, row.started, row.ended, trial.tries)
                assert kept.setdefault(trial.number, now) == now  # never trained again
    while command.wait(timeout=900) != 0:
        resume()
    print(f"seed {SEED}, killed: {', '.join(killed)}")

    assert [trial.status for trial in trials()] == ["completed"] * TRIALS
    assert len(store.runs.children(1)) == TRIALS
    for number, (run_id, started, ended, tries) in kept.items():
        row, trial = store.runs.get(run_id), store.trials.get(1, number)
        assert (row.id, row.started, row.ended, trial.tries) == (trial.run_id, started, ended, tries)
    assert reported(home) == reported(undisturbed)  # to the last bit
    with Store(undisturbed.database_url) as other:
        for trial, same in zip(trials(), other.trials.of_sweep(1), strict=True):
            mine, others = store.metrics.of_run(trial.run_id), other.metrics.of_run(same.run_id)
            keys = [
                {(m.stage, m.name, m.epoch): m.value for m in rows if m.name != "seconds"}
                for rows in (mine, others)
            ]
            assert repr(sorted(keys[0].items(), key=str)) == repr(sorted(keys[1].items(), key=str))
            assert len(mine) == len(others)
