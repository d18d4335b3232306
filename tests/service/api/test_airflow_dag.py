"""The DAG in the docs against the real API, with Airflow's decorators replaced by the least that they do."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shared.tracking.job_errors import JobFailure
from tests.job_kit import claimed, fence
from tests.service.live_kit import until
from tests.service.rows_kit import build_app
from tests.service.server_kit import serving

DAG = Path(__file__).parents[3] / "docs" / "examples" / "airflow_dag.py"
TOKEN = "train-correct-horse_battery"


class Failed(Exception):
    """`AirflowFailException`: no retry helps."""


class Value(SimpleNamespace):
    """What a task returns; ``>>`` orders tasks, which here run in the order in which they stand."""

    def __rshift__(self, later: Any) -> Any:
        return later


def airflow() -> dict[str, ModuleType]:
    def decorated(poll: bool) -> Any:
        def decorate(function: Any = None, **options: Any) -> Any:
            if function is None:
                return lambda one: decorate(one)

            def run(*given: Any) -> Value:
                given = tuple(one.value for one in given)
                if poll:  # a sensor runs again until it returns true
                    until(lambda: function(*given))
                    return Value(value=None)
                answers = [function(*given), function(*given)]  # whatever is tried again has the same effect
                assert answers[0] == answers[1]
                return Value(value=answers[0])

            return run

        return decorate

    task = decorated(poll=False)
    task.sensor = decorated(poll=True)
    sdk, exceptions = ModuleType("airflow.sdk"), ModuleType("airflow.exceptions")
    sdk.dag = lambda **_: lambda function: lambda: RUN.append(function)  # type: ignore[attr-defined]
    sdk.task, sdk.get_current_context = task, lambda: {"run_id": "scheduled__2026-01-02"}  # type: ignore[attr-defined]
    exceptions.AirflowFailException = Failed  # type: ignore[attr-defined]
    return {"airflow": ModuleType("airflow"), "airflow.sdk": sdk, "airflow.exceptions": exceptions}


RUN: list[Any] = []


@pytest.fixture
def dag(store, home, monkeypatch) -> Iterator[ModuleType]:
    for name, module in airflow().items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("airflow_dag", DAG)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    RUN.clear()
    spec.loader.exec_module(module)
    with serving(build_app(store, home, train_token=TOKEN)) as port:
        monkeypatch.setenv("FEDTWIN_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("FEDTWIN_TRAIN_TOKEN", TOKEN)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield module


def work(store, *, failure: JobFailure | None = None) -> threading.Thread:
    """A worker, once a job is there."""

    def run() -> None:
        until(lambda: store.jobs.search())
        row = claimed(store)
        if failure is not None:
            store.queue.fail(fence(row), failure)
            return
        run_id = store.queue.begin_run(fence(row), config={}, seed=1, description="")
        store.runs.update(run_id, summary={"test": {"accuracy": 0.9}})
        store.runs.finish(run_id, "completed")
        store.queue.complete(fence(row))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_submits_once_waits_and_has_the_result(dag, store, monkeypatch):
    results = []
    monkeypatch.setattr(dag, "ask", _recording(dag.ask, results))
    thread = work(store)
    RUN[0]()
    thread.join()
    (job,) = store.jobs.search()
    assert (job.status, job.name, job.mode) == ("completed", "ward-7", "centralized")
    assert results[-1]["summary"]["test"] == {"accuracy": 0.9}


def test_a_job_that_failed_fails_the_task(dag, store):
    thread = work(store, failure=JobFailure("data", "there is no such file", False))
    with pytest.raises(Failed, match=r"/api/jobs/1: failed: there is no such file"):
        RUN[0]()
    thread.join()


def _recording(ask, results):
    def recorded(*given, **options):
        answer = ask(*given, **options)
        results.append(answer[0])
        return answer

    return recorded
