"""The contract of tenants in the queue: limits, and a fair share of the workers for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from shared.config.compose import compose
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.home import Home
from shared.tracking.job_tables import schedule
from shared.tracking.jobs import NewJob, QueueFull
from shared.tracking.model_rows import NotRegistered
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from simulations.starting import with_start
from tests.contracts.test_store_models import CONFIG, SCHEMA, complete
from tests.job_kit import begun_sweep, claimed, fence, submit

BIG, SMALL = Tenant("big"), Tenant("small")


@pytest.fixture
def tenants(store):
    for tenant in (BIG, SMALL):
        store.tenants.create(tenant)
    return store


def test_a_tenant_with_many_urgent_jobs_does_not_starve_another(tenants):
    for _ in range(6):
        submit(tenants.of(BIG), priority="critical")
    for _ in range(3):
        submit(tenants.of(SMALL), priority="low")
    begun = [claimed(tenants) for _ in range(4)]
    assert [job.tenant for job in begun] == ["big", "small", "big", "small"]
    # one worker alone: in turn, though nothing runs when it looks
    for job in begun:
        tenants.queue.complete(fence(job))
    turns = []
    while (job := tenants.queue.claim("here 1")) is not None:
        turns.append(job.tenant)
        tenants.queue.complete(fence(job))
    assert turns == ["big", "small", "big", "big", "big"]


def test_limits_of_running_and_queued_jobs(tenants):
    tenants.tenants.limit(BIG, max_running=1, max_queued=2)
    first, second = (submit(tenants.of(BIG)) for _ in range(2))
    with pytest.raises(QueueFull, match="2 jobs wait already, and this tenant may have 2"):
        submit(tenants.of(BIG))
    submit(tenants.of(SMALL))
    running = claimed(tenants)
    assert running.id == first
    assert claimed(tenants).tenant == "small"
    assert tenants.queue.claim("here 2") is None
    tenants.queue.complete(fence(running))
    assert claimed(tenants).id == second


def make_due(store: Store, schedule_id: int) -> None:
    due = datetime.now(UTC) - timedelta(minutes=1)
    with store.database.write() as connection:
        connection.execute(sa.update(schedule).where(schedule.c.id == schedule_id).values(next_at=due))


def test_a_schedule_queues_nothing_where_the_queue_is_full(tenants):
    tenants.tenants.limit(SMALL, max_running=None, max_queued=1)
    submit(tenants.of(SMALL))
    small = tenants.of(SMALL)
    new = NewJob(mode="centralized", name="nightly", config={})
    schedule_id = small.schedules.add(new, cron="0 0 * * *", time_zone="UTC").id
    make_due(tenants, schedule_id)
    assert tenants.schedules.queue_due() == []
    claimed(tenants)
    make_due(tenants, schedule_id)
    assert len(tenants.schedules.queue_due()) == 1


def test_runs_and_jobs_of_another_tenant_are_not_there(tenants):
    job = submit(tenants.of(BIG))
    run_id = tenants.queue.begin_run(fence(claimed(tenants)), config={}, seed=0, description="")
    child = tenants.runs.create(name="c", training_mode="local", config={}, seed=0, parent_id=run_id)
    big, small = tenants.of(BIG), tenants.of(SMALL)
    assert [row.id for row in big.runs.search()] == [child, run_id]
    assert small.runs.search() == small.jobs.search() == small.jobs.events(job) == []
    assert small.runs.find(run_id) is small.jobs.find(job) is None
    for act in (small.jobs.cancel, small.jobs.retry, small.runs.delete):
        with pytest.raises(TrackingError, match="there is no"):
            act(job)
    with pytest.raises(TrackingError, match="there is no run"):
        small.runs.rename(run_id, "x")


def test_a_sweep_of_a_job_and_its_trials_are_its_tenants(tenants):
    submit(tenants.of(BIG), mode="sweep", tags=["night"])
    row = claimed(tenants)
    sweep_id = begun_sweep(tenants, fence(row))
    trial = tenants.trials.begin(sweep_id, 2, mode="compare")
    twin = tenants.runs.create(name="p", training_mode="centralized", config={}, seed=0, parent_id=trial)
    big, small = tenants.of(BIG), tenants.of(SMALL)
    assert [run.id for run in big.runs.search()] == [twin, trial, sweep_id]
    assert (big.jobs.get(row.id).run_id, big.runs.get(sweep_id).tags) == (sweep_id, ["night"])
    assert small.runs.search() == []


def test_models_of_another_tenant_are_not_there(tenants):
    big, small = tenants.of(BIG), tenants.of(SMALL)
    mine, yours = complete(big), complete(small, f1=0.9)
    complete(big)
    submit(big)
    job = claimed(tenants)
    queued = tenants.queue.begin_run(fence(job), config=CONFIG, seed=0, description="")
    tenants.runs.update(queued, summary={"schema": SCHEMA})
    tenants.runs.finish(queued, "completed")
    assert tenants.models.of_run(queued).tenant == "big", "where it completes does not matter"
    name = big.models.of_run(queued).model
    assert [row.name for row in big.models.search()] == sorted([name, "ward-7"])
    assert [row.name for row in small.models.search()] == ["ward-7"]
    assert [row.run_id for row in small.models.versions("ward-7")] == [yours]
    assert tenants.models.search() == [], "by name: those of the default tenant"
    big.models.promote("ward-7", "1.0.0")
    assert (big.models.aliases("ward-7"), small.models.aliases("ward-7")) == ({"production": "1.0.0"}, {})
    assert small.models.of_run(mine) is small.models.guarded(mine) is None
    assert (
        big.models.guarded(mine) == tenants.models.guarded(mine) == "version 1.0.0 of model ward-7 (production)"
    )
    with pytest.raises(TrackingError, match=f"there is no run {mine} "):
        small.models.register(mine)
    assert tenants.models.register(mine).version == "1.0.0"
    for act in (
        lambda: small.models.get(name),
        lambda: small.models.versions(name),
        lambda: small.models.resolve(name),
        lambda: small.models.aliases(name),
        lambda: small.models.promote(name),
        lambda: small.models.rollback(name),
        lambda: small.models.remove_alias(name, "production"),
        lambda: small.models.set_threshold(name, "none"),
        lambda: small.models.history(name),
    ):
        with pytest.raises(NotRegistered, match="there is no model"):
            act()


def test_a_training_starts_from_a_model_of_its_tenant(tenants, tmp_path):
    """Both the number of a run and the name of a model; the weights themselves are nowhere here."""
    home = Home(root=tmp_path, database_url="")
    mine = complete(tenants.of(BIG))
    parent = tenants.of(BIG).runs.create(name="x", training_mode="compare", config={}, seed=0)
    foreign = tenants.of(SMALL).runs.create(name="x", training_mode="centralized", config={}, seed=0)
    for weights, refusal in (("ward-7", "there is no model"), (str(mine), f"there is no run {mine}")):
        cfg = compose().replace("model", weights=f"registry:{weights}")
        for where in ({"run_id": parent}, {"parent_id": parent}):
            with pytest.raises(TrackingError, match=f"weights of run {mine} are not on this machine"):
                with_start(cfg.replace("tracking", **where), store=tenants, home=home)
        with pytest.raises(TrackingError, match=refusal):
            with_start(cfg.replace("tracking", run_id=foreign), store=tenants, home=home)


def test_names_of_tenants(tenants):
    for odd in ("", "Ward 7", "-a", "a" * 61):
        with pytest.raises(ConfigError, match="a tenant's name"):
            Tenant(odd)
    with pytest.raises(TrackingError, match="already"):
        tenants.tenants.create(BIG)
    with pytest.raises(TrackingError, match="fedtwin tenant create nobody"):
        tenants.tokens.create(Tenant("nobody"), name="x", scope="read", expires=None)
