"""Which interrupted runs a server's kit goes on with, and how often; the real thing is in `tests/e2e`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from federated.deploy.run import auto_resume as resumer
from federated.deploy.run.auto_resume import TRIES, AutoResumer
from federated.kit.deployment import Deployment
from federated.kit.server_kit import ServerKit
from shared.runtime.home import Home
from shared.tracking.rows import INTERRUPTED
from shared.tracking.schema import run as run_table
from shared.tracking.store import Store

MakeRun = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path, database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")


@pytest.fixture
def kit(deployment: Deployment) -> ServerKit:
    return ServerKit(deployment.server_kit)


@pytest.fixture
def make_run(home: Home, kit: ServerKit) -> MakeRun:
    def make(
        *, of: Path | None = kit.folder, stop_reason: str | None = INTERRUPTED, age: timedelta = timedelta()
    ) -> int:
        config = {"federation": {"kit": None if of is None else str(of)}}
        with Store(home.database_url) as store:
            run_id = store.runs.create(name="x", training_mode="federated", config=config, seed=1)
            store.runs.finish(run_id, "failed", stop_reason=stop_reason, error="process 7 is gone")
        engine = sa.create_engine(home.database_url)
        with engine.begin() as connection:
            ended = datetime.now(UTC) - age
            connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(ended=ended))
        engine.dispose()
        return run_id

    return make


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that were resumed, in place of the processes that would do it."""
    runs: list[int] = []
    monkeypatch.setattr(AutoResumer, "_start", lambda self, run: runs.append(run.id))
    monkeypatch.setattr(resumer, "superlink_answers", lambda kit: True)
    monkeypatch.setattr(resumer, "LOOK_EVERY_S", 0.0)
    return runs


def test_only_what_was_interrupted_lately_and_is_of_this_kit_goes_on(
    kit: ServerKit, home: Home, make_run: MakeRun, resumed: list[int], tmp_path: Path
) -> None:
    make_run(of=tmp_path / "other")
    make_run(of=None)
    make_run(stop_reason=None)  # it failed by itself
    make_run(age=timedelta(days=2))
    link = tmp_path / "link"
    link.symlink_to(kit.folder.parent)
    mine = make_run(of=link / ".." / link.name / kit.folder.name)  # the same folder, said otherwise
    said: list[str] = []
    AutoResumer(kit, home=home, say=said.append).tick()
    assert resumed == [mine]
    assert said == [
        f"run {mine} was interrupted after round 0 (process 7 is gone): resuming, attempt 1 of {TRIES}"
    ]


def test_a_run_that_gets_no_further_is_given_up_and_one_that_does_is_not(
    kit: ServerKit, home: Home, make_run: MakeRun, resumed: list[int]
) -> None:
    run_id = make_run()
    one = AutoResumer(kit, home=home, say=lambda line: None)
    for _ in range(TRIES + 2):
        one.tick()
    assert resumed == [run_id] * TRIES
    now = datetime.now(UTC)
    with Store(home.database_url) as store:
        store.rounds.add(
            run_id,
            round=1,
            began=now,
            ended=now,
            sampled=[0],
            replied=[0],
            failed={},
            bytes_down=0,
            bytes_up=0,
            seconds=1.0,
        )
    one.tick()
    assert resumed == [run_id] * (TRIES + 1)


def test_without_a_superlink_nothing_is_tried(
    kit: ServerKit, home: Home, make_run: MakeRun, resumed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    monkeypatch.setattr(resumer, "superlink_answers", lambda kit: False)
    AutoResumer(kit, home=home, say=lambda line: None).tick()
    assert resumed == []


def test_a_database_that_is_not_there_does_not_end_the_server(kit: ServerKit, tmp_path: Path) -> None:
    said: list[str] = []
    away = Home(root=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    one = AutoResumer(kit, home=away, say=said.append)
    one.tick()
    one.tick()
    assert len(said) == 1
    assert said[0].startswith("cannot look for interrupted runs")
