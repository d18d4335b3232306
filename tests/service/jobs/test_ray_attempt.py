"""Jobs on a real Ray cluster: trained, resumed after their worker was killed, cancelled, and lost with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from service.jobs.ray_attempt import RayCluster
from shared.config.compose import compose
from shared.runtime.errors import BackendAway, ConfigError
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.conftest import SMALL
from tests.databases import open_new
from tests.job_kit import claimed, fence, submit
from tests.service.jobs import test_worker
from tests.service.jobs.ray_kit import RayHead, ray_python
from tests.service.jobs.test_worker import SLEEPS, STUBBORN, alive, ended, log, working

EPOCHS = 8
wait_for = partial(test_worker.wait_for, wait_s=240)  # Ray starts slowly, beside others much more so


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    with open_new(home.database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def head(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A cluster whose node has the home of the tests."""
    python = ray_python(tmp_path_factory.mktemp("ray") / "environment")
    found = RayHead(python, {"FEDTWIN_HOME": str(home.root)})
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def cluster(head: RayHead) -> RayCluster:
    return RayCluster(head.address, cpus=1, gpus=0)


@pytest.fixture(autouse=True)
def nothing_is_left(store: Store) -> Iterator[None]:
    """What a failed test has queued is not for the workers of the next one."""
    yield
    for row in store.jobs.search():
        if not row.finished:
            store.jobs.cancel(row.id)


def training(store: Store, *, epochs: int) -> int:
    settings = [*SMALL, "data=digits", f"trainer.max_epochs={epochs}", "trainer.early_stopping.enabled=false"]
    return submit(store, config=compose(settings).snapshot())


def has_epoch(store: Store, job_id: int) -> bool:
    run_id = store.jobs.get(job_id).run_id
    return run_id is not None and bool(store.metrics.latest(run_id))


@pytest.mark.slow
@pytest.mark.attack
@pytest.mark.timeout(600)
def test_a_worker_is_killed_and_the_job_is_trained_once(store, home, head):
    job_id = training(store, epochs=EPOCHS)
    secret = "correct-horse_battery"
    own = {"FEDTWIN_HOME": str(home.root), "RAY_AUTH_TOKEN": secret, "FEDTWIN_TRAIN_TOKEN": secret}
    command = [sys.executable, "-m", "fedtwin", "worker", "--lease", "4", "--ray", head.address]
    for number in (1, 2):
        with subprocess.Popen(command, env={**os.environ, **own}) as worker:
            try:
                if number == 1:
                    wait_for(lambda: has_epoch(store, job_id))
                else:
                    wait_for(lambda: store.jobs.get(job_id).attempt == 2)
                    (row,) = [one for one in store.workers.search() if one.pid == worker.pid]
                    assert (row.backend, row.cluster["nodes"], row.cluster["cpus"]) == ("ray", 1, 2)
                    wait_for(lambda: store.jobs.get(job_id).finished)
                    assert store.jobs.get(job_id).status == "completed"
            finally:
                worker.kill()
    kinds = [event.kind for event in store.jobs.events(job_id)]
    assert kinds == ["submitted", "claimed", "run", "lost", "claimed", "completed"]
    rows = store.metrics.of_run(store.jobs.get(job_id).run_id)
    epochs = [row.epoch for row in rows if (row.stage, row.name) == ("val", "loss")]
    assert epochs == list(range(1, EPOCHS + 1)), "each once"
    assert "the worker of this job is gone" in log(home, job_id)
    first, second = sorted(head.jobs())
    assert (first.endswith("-1"), second.endswith("-2")) == (True, True)
    wait_for(lambda: head.jobs()[second] == "SUCCEEDED")
    assert head.jobs()[first] in ("FAILED", "STOPPED"), "by its guard, or by the second worker"
    shown = head.shown()
    assert str(home.job_dir(job_id)) in shown
    assert [word for word in (secret, "sqlite:", "DATABASE_URL") if word in shown] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cancelled_jobs_end_as_on_a_machine_of_their_own(store, home, head, cluster):
    job_id, stubborn = training(store, epochs=10_000), submit(store)
    with working(store, home, backend=cluster):
        wait_for(lambda: has_epoch(store, job_id))
        store.jobs.cancel(job_id)
        row = ended(store, job_id)
    assert (row.status, row.attempt) == ("cancelled", 1)
    run = store.runs.get(row.run_id)
    assert run.status == "stopped", "by itself, with its checkpoint"
    with working(store, home, STUBBORN, backend=cluster, grace_s=0.5):
        wait_for(lambda: log(home, stubborn).count("begun") == 2)
        pids = [int(line.split()[1]) for line in log(home, stubborn).splitlines() if line.startswith("begun")]
        store.jobs.cancel(stubborn)
        assert ended(store, stubborn).status == "cancelled"
    wait_for(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_ray_knows_already_is_found_again_and_what_was_taken_over_ends(store, home, head, cluster):
    job_id = submit(store)
    limits = {"silence_s": 30.0, "grace_s": 0.5, "command": ("-c", SLEEPS)}
    row = claimed(store)
    first = cluster.start(row, **limits)
    wait_for(lambda: "begun" in log(home, job_id))
    assert cluster.start(row, **limits).submission == first.submission, "as after an answer that was lost"
    store.queue.release(fence(row))
    second = cluster.start(claimed(store), **limits)
    wait_for(lambda: first.returncode is not None)
    wait_for(lambda: log(home, job_id).count("begun") == 2)
    second.kill()
    assert second.returncode is not None
    assert {head.jobs()[one.submission] for one in (first, second)} <= {"STOPPED", "FAILED"}


@pytest.mark.slow
@pytest.mark.attack
@pytest.mark.timeout(600)
def test_a_lost_cluster_is_named_and_the_job_tried_again(store, home, head, cluster):  # the last: it is lost
    job_id = submit(store, max_retries=1)
    code = "import os, time; print('begun', os.getpid(), flush=True); time.sleep(600)"
    with working(store, home, code, backend=cluster, lease_s=5):
        wait_for(lambda: "begun" in log(home, job_id))
        head.stop()
        wait_for(lambda: store.jobs.get(job_id).failures)
        row = store.jobs.get(job_id)
        assert (row.status, row.error_code, row.attempt) == ("queued", "backend_away", 1)
        assert "the Ray cluster does not answer" in row.error
        assert head.address not in row.error
        wait_for(lambda: store.workers.search()[0].cluster["problem"])
        waits = submit(store)
    assert store.jobs.get(waits).attempt == 0, "no job is claimed while the cluster is away"
    (pid,) = [int(line.split()[1]) for line in log(home, job_id).splitlines() if line.startswith("begun")]
    wait_for(lambda: not alive(pid))
    with pytest.raises(BackendAway):
        cluster.start(row, silence_s=1.0, grace_s=1.0, command=())


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9.*the Ray cluster does not answer"),
        ("ray://host:10001", "expected an address such as http://host:8265"),
        ("http://user:word@host:8265", "RAY_AUTH_TOKEN"),
    ],
)
def test_what_is_no_cluster_is_named(address, says):
    with pytest.raises(ConfigError, match=says):
        RayCluster(address, cpus=1, gpus=0)
