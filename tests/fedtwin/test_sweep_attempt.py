"""Jobs that are sweeps, trained by a real worker: trials, errors and tenants; stopped, and without data."""

from __future__ import annotations

import pytest

from service.jobs.attempt import training_command
from service.jobs.sweeps import checked_sweep
from shared.tracking.jobs import NewJob
from shared.tracking.stop_requests import STOP
from shared.tracking.tenants import DEFAULT, Tenant
from tests.service.jobs.test_worker import ended, log, wait_for, working

WARD = Tenant("ward-7")
SMALL = {
    "data": "npz",
    "data.image_size": 8,
    "model.widths": [2, 4],
    "model.hidden": 8,
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": 1,
}


def asked(two_classes, settings=SMALL, **plan) -> NewJob:
    """A sweep of pooled trials, as it is queued over HTTP."""
    found = checked_sweep(
        {"mode": "pooled", "seeds": [1], **plan},
        settings,
        dataset=two_classes.name,
        run_name="ward",
        folders=[two_classes.parent],
        most_trials=10,
    )
    return NewJob(mode="sweep", name=found.name, config=found.stored, tags=["night"])


def test_a_sweep_whose_data_is_gone_fails_before_it_has_a_run(store, home, two_classes, tmp_path):
    data = tmp_path / "data" / "two.npz"
    data.parent.mkdir()
    data.write_bytes(two_classes.read_bytes())
    job_id = store.jobs.submit(asked(data)).id
    data.unlink()
    with working(store, home, command=training_command(sweep_workers=1)):
        job = ended(store, job_id, wait_s=240)
    assert (job.status, job.error_code, job.run_id) == ("failed", "config", None), log(home, job_id)
    assert str(data) in job.error
    assert store.runs.search() == []


@pytest.mark.slow
def test_a_sweep_that_is_stopped_cancels_its_job(store, home, two_classes):
    long = {**SMALL, "trainer.max_epochs": 100_000, "trainer.early_stopping.enabled": False}
    job_id = store.jobs.submit(asked(two_classes, settings=long)).id

    def trains() -> bool:
        row = store.jobs.get(job_id)
        assert not row.finished, log(home, job_id)
        return row.run_id is not None and store.trials.counts([row.run_id])[row.run_id]["running"] == 1

    with working(store, home, command=training_command(sweep_workers=1)):
        wait_for(trains, wait_s=240)
        sweep_id = store.jobs.get(job_id).run_id
        store.runs.update(sweep_id, summary={STOP: True})  # as `fedtwin stop` does
        job = ended(store, job_id, wait_s=240)
    assert (job.status, job.attempt) == ("cancelled", 1)
    assert store.runs.get(sweep_id).status == "stopped"
    assert store.trials.counts([sweep_id])[sweep_id]["waiting"] == 1


@pytest.mark.slow
def test_a_sweep_is_trained_for_its_tenant_with_what_its_trials_failed_of(store, home, two_classes):
    store.tenants.create(WARD)
    new = asked(two_classes, grid={"trainer.optimizer.lr": [0.01, 1e30]})
    job_id = store.of(WARD).jobs.submit(new).id
    with working(store, home, command=training_command(sweep_workers=2)):
        job = ended(store, job_id, wait_s=240)
    assert (job.status, job.error_code) == ("failed", "trials"), log(home, job_id)
    assert job.error.startswith("1 of 2 trials failed, such as trial 2: DivergedError: ")
    assert "training 2 trials in parallel" in log(home, job_id)
    assert job.run_id is not None
    trials = store.trials.of_sweep(job.run_id)
    assert [(one.status, one.tries) for one in trials] == [("completed", 1), ("failed", 1)]
    runs = store.of(WARD).runs
    assert (runs.get(job.run_id).name, runs.get(job.run_id).tags) == ("ward", ["night"])
    assert {run.id for run in runs.children(job.run_id)} == {one.run_id for one in trials}
    assert store.of(DEFAULT).runs.search() == []
    assert (home.sweep_dir(job.run_id) / "report.html").is_file()
