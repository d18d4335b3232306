"""The figures of the benchmark of sweeps."""

from __future__ import annotations

import os

import psutil

from benchmarks.sweeps import Measured, memory_of, table


def test_the_table_compares_wall_time_with_the_trials_processor_time():
    measured = Measured(
        trials=4, wall_s=13.0, training_s=11.0, trials_processor_s=20.0, coordinator_processor_s=0.12
    )
    text = table(measured, peak_bytes=3 * 2**29)
    assert "| the same / 2 | 10.0 s |" in text
    assert "| wall time of the call | 13.0 s, 1.30 times that |" in text
    assert "| of that, training | 11.0 s, 1.10 times that |" in text
    assert "| processor time of the coordinator, per trial | 30 ms |" in text
    assert "| worker time beyond processor time, per trial | 500 ms |" in text
    assert "| peak memory of all processes | 1.50 GiB |" in text


def test_memory_of_a_process_that_runs():
    assert memory_of(psutil.Process(os.getpid())) > 2**20
