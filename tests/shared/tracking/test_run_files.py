"""What a run leaves in its folder: its log, and what it uses of the machine."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from shared.tracking.resources import RESOURCES_FILE, Meter, read_resources, sample_resources
from shared.tracking.run_log import LOG_FILE, logged, run_log
from shared.tracking.tracked_run import tracked_run


def test_work_is_seen_and_the_samples_are_kept(tmp_path: Path) -> None:
    with sample_resources(tmp_path, first_s=0.05):
        path, end = tmp_path / RESOURCES_FILE, time.monotonic() + 20
        while time.monotonic() < end and not (path.exists() and len(read_resources(path)) >= 4):
            sum(range(100_000))
    found = read_resources(tmp_path / RESOURCES_FILE)
    assert len(found) >= 3
    assert found[0].cpu is None, "nothing is known before the first one"
    assert max(one.cpu or 0 for one in found) > 20
    assert all(one.memory > 10e6 and 0 <= one.machine_cpu <= 100 for one in found)
    assert [one.time for one in found] == sorted(one.time for one in found)


def test_a_resumed_run_goes_on_in_its_file_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    for _ in range(2):
        with sample_resources(tmp_path):
            pass
    path = tmp_path / RESOURCES_FILE
    whole = read_resources(path)
    assert len(whole) == 4
    path.write_text(path.read_text() + "17,3")
    assert read_resources(path) == whole


def test_a_sample_takes_no_time_that_a_training_would_notice() -> None:
    meter = Meter()
    meter.take()
    began = time.process_time()
    for _ in range(10):
        meter.take()
    assert (time.process_time() - began) / 10 < 0.05, "of the 10 s between two samples of a long run"


def test_the_log_has_progress_and_others_records_and_ends_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("flwr"), "disabled", False)  # as other tests may have left it
    monkeypatch.setattr(logging.getLogger("flwr"), "level", logging.INFO)
    said: list[str] = []
    with run_log(tmp_path):
        logged(said.append)("round 1/2  loss 0.5")
        logging.getLogger("flwr").info("ConfigRecord: {'run-key': 00ff}")
        logging.getLogger("flwr").warning("a site is late")
    logging.getLogger("flwr").warning("of nobody's run")
    lines = (tmp_path / LOG_FILE).read_text().splitlines()
    assert said == ["round 1/2  loss 0.5"]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "INFO fedtwin: round 1/2  loss 0.5",
        "WARNING flwr: a site is late",
    ]


def test_a_failed_run_leaves_its_whole_error_and_what_it_was_started_with(store, make_config, tmp_path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        tracked_run(store, make_config(), mode="centralized", folder=lambda run_id: tmp_path) as run_id,
    ):
        1 / 0  # noqa: B018
    text = (tmp_path / LOG_FILE).read_text()
    assert "Traceback" in text
    assert "ZeroDivisionError: division by zero" in text
    assert len(read_resources(tmp_path / RESOURCES_FILE)) == 2
    assert store.runs.get(run_id).summary["environment"]["commands"]
