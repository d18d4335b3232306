"""The life of a run: how it begins, and how it ends whatever happens in it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from shared.runtime.errors import DivergedError, TrackingError
from shared.tracking.rows import INTERRUPTED
from shared.tracking.tracked_run import tracked_run


def test_a_run_that_ends_normally(make_config, store):
    cfg = make_config("name=mine", "description=a test", "seed=3")
    with tracked_run(store, cfg, mode="centralized") as run_id:
        run = store.runs.get(run_id)
        assert (run.status, run.name, run.description, run.seed) == ("running", "mine", "a test", 3)
        assert run.config == cfg.snapshot()
        assert run.pid == os.getpid()
    run = store.runs.get(run_id)
    assert (run.status, run.error, run.stop_reason) == ("completed", None, None)
    assert run.ended >= run.started


def test_a_block_may_end_its_run_itself(make_config, store):
    with tracked_run(store, make_config(), mode="local") as run_id:
        store.runs.finish(run_id, "completed", stop_reason="enough")
    assert (store.runs.get(run_id).status, store.runs.get(run_id).stop_reason) == ("completed", "enough")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DivergedError("train/loss is nan"), "DivergedError: train/loss is nan"),
        (ZeroDivisionError("oh"), "ZeroDivisionError: oh"),
    ],
)
def test_an_error_fails_the_run_and_goes_on(make_config, store, error, text):
    with pytest.raises(type(error)), tracked_run(store, make_config(), mode="centralized") as run_id:
        raise error
    assert (store.runs.get(run_id).status, store.runs.get(run_id).error) == ("failed", text)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupt_stops_the_run(make_config, store, error):
    with pytest.raises(type(error)), tracked_run(store, make_config(), mode="centralized") as run_id:
        raise error
    run = store.runs.get(run_id)
    assert (run.status, run.error, run.stop_reason) == ("stopped", None, "interrupted by the user")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionError("refused")])
def test_an_interruption_leaves_a_run_that_can_go_on(make_config, store, error):
    with (
        pytest.raises(type(error)),
        tracked_run(
            store, make_config(), mode="federated", interrupted=lambda caught: caught is error
        ) as run_id,
    ):
        raise error
    (run,) = store.runs.search(status="failed", stop_reason=INTERRUPTED)
    assert run.id == run_id
    assert run.error == f"interrupted by {type(error).__name__} {error}".strip()


def test_sigterm_is_an_interrupt_within_the_block_alone(make_config, store):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), tracked_run(store, make_config(), mode="centralized") as run_id:
        signal.raise_signal(signal.SIGTERM)
    assert store.runs.get(run_id).status == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_thread_signals_are_left_alone(make_config, store):
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with tracked_run(store, make_config(), mode="federated") as run_id:
            seen.append((run_id, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    run_id, handler = seen[0]
    assert handler is before
    assert store.runs.get(run_id).status == "completed"


def test_a_prepared_run_is_claimed(make_config, store):
    cfg = make_config()
    prepared = store.runs.create(name="x", training_mode="centralized", config={}, seed=1, status="pending")
    with tracked_run(store, cfg.replace("tracking", run_id=prepared), mode="centralized") as run_id:
        assert run_id == prepared
        assert store.runs.get(run_id).status == "running"
        assert store.runs.get(run_id).config == cfg.snapshot()
    assert len(store.runs.search()) == 1


def test_a_run_that_has_ended_is_opened_again_only_to_resume_it(make_config, store):
    cfg = make_config()
    with pytest.raises(ValueError, match="first"), tracked_run(store, cfg, mode="centralized") as run_id:
        raise ValueError("first")
    claimed = cfg.replace("tracking", run_id=run_id)
    with (
        pytest.raises(TrackingError, match="is failed already"),
        tracked_run(store, claimed, mode="centralized"),
    ):
        pass
    with tracked_run(store, claimed, mode="centralized", resume=True):
        assert store.runs.get(run_id).error is None
    assert store.runs.get(run_id).status == "completed"


def test_a_run_belongs_to_its_comparison(make_config, store):
    parent = store.runs.create(name="both", training_mode="compare", config={}, seed=1)
    with tracked_run(store, make_config().replace("tracking", parent_id=parent), mode="centralized") as run_id:
        pass
    assert store.runs.get(run_id).parent_id == parent
