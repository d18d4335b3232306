"""Cost of a sweep beside that of its trials: 5 strategies x 4 partitions x 3 seeds on digits; prints a table.

``python -m benchmarks.sweeps [--small]`` trains 60 small comparisons (4 with ``--small``) on two workers, in a
home of its own that is deleted, and compares wall time with what the trials' processes used of the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass

import psutil

import fedtwin
from benchmarks.speed.machine import describe, line
from simulations.sweeps.progress import Progress

WORKERS = 2
STRATEGIES = ("fedavg", "fedprox", "scaffold", "fedavgm", "fedadam")
PARTITIONS = (
    {"partition": "iid"},
    {"partition": "dirichlet", "partition.alpha": 0.1},
    {"partition": "dirichlet", "partition.alpha": 1.0},
    {"partition": "quantity"},
)
SEEDS = (1, 2, 3)
SETTINGS = (
    *("data=digits", "trainer.accelerator=cpu", "trainer.num_threads=1"),
    *("federation.num_clients=5", "federation.num_rounds=5", "compare.resamples=100"),
)
_SAMPLE_S = 5.0  # to read the memory of a process takes 15 ms, which the trials would do without


@dataclass(frozen=True)
class Measured:
    """What one sweep took.

    Attributes
    ----------
    wall_s : float
        Of the whole call, which imports PyTorch, checks the plan, starts the workers and writes the report.
    training_s : float
        From the first trial that was handed out to the end of the last.
    trials_processor_s : float
        Used by the processes of the trials, over all of them.
    coordinator_processor_s : float
        Used meanwhile by the process that leads the sweep.
    """

    trials: int
    wall_s: float
    training_s: float
    trials_processor_s: float
    coordinator_processor_s: float


def main() -> None:
    """Run the sweep in a process of its own, and watch the memory of it and of those that it starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["sweep"], help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help="4 trials: 2 strategies x 2 partitions x 1 seed")
    options = parser.parse_args()
    if options.what == "sweep":
        print(json.dumps(asdict(sweep(small=options.small))))
        return
    with tempfile.TemporaryDirectory(prefix="fedtwin-sweeps-") as folder:
        command = [sys.executable, "-m", "benchmarks.sweeps", "sweep", *(["--small"] if options.small else [])]
        env = {**os.environ, "FEDTWIN_HOME": folder}
        env.pop("FEDTWIN_DATABASE_URL", None)
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        peak = Peak(process.pid)
        out, _ = process.communicate()
        peak.end()
    if process.returncode != 0:
        sys.exit(f"the sweep ended with exit status {process.returncode}")
    print(table(Measured(**json.loads(out.splitlines()[-1])), peak_bytes=peak.bytes))


def sweep(*, small: bool) -> Measured:
    """Train the trials of the plan.

    Raises
    ------
    SystemExit
        A trial has failed.
    """
    moments: list[tuple[float, float, Progress]] = []

    def note(progress: Progress) -> None:
        moments.append((time.monotonic(), time.process_time(), progress))

    strategies, partitions, seeds = (
        (STRATEGIES[:2], PARTITIONS[:2], SEEDS[:1]) if small else (STRATEGIES, PARTITIONS, SEEDS)
    )
    began = time.monotonic()
    found = fedtwin.sweep(
        SETTINGS,
        grid={"strategy": list(strategies)},
        cells=partitions,
        seeds=seeds,
        workers=WORKERS,
        on_progress=note,
    )
    wall_s = time.monotonic() - began
    if not found.complete:
        sys.exit(f"not all trials are completed:\n{found.trials.to_string()}")
    (first_s, first_processor_s, _) = moments[0]
    last_s, last_processor_s, last = next(one for one in reversed(moments) if one[2].finished is not None)
    return Measured(
        trials=last.done,
        wall_s=wall_s,
        training_s=last_s - first_s,
        trials_processor_s=last.processor_seconds,
        coordinator_processor_s=last_processor_s - first_processor_s,
    )


def table(measured: Measured, *, peak_bytes: int) -> str:
    """The results as Markdown."""
    least = measured.trials_processor_s / WORKERS
    overhead = 1000 * measured.coordinator_processor_s / measured.trials
    apart = (WORKERS * measured.training_s - measured.trials_processor_s) / measured.trials
    rows = [
        (f"{measured.trials} trials on {WORKERS} workers", line(describe())),
        ("the trials' own processor time", f"{measured.trials_processor_s:.1f} s"),
        (f"the same / {WORKERS}", f"{least:.1f} s"),
        ("wall time of the call", f"{measured.wall_s:.1f} s, {measured.wall_s / least:.2f} times that"),
        ("of that, training", f"{measured.training_s:.1f} s, {measured.training_s / least:.2f} times that"),
        ("processor time of the coordinator, per trial", f"{overhead:.0f} ms"),
        ("worker time beyond processor time, per trial", f"{1000 * apart:.0f} ms"),
        ("peak memory of all processes", f"{peak_bytes / 2**30:.2f} GiB"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


class Peak:
    """The most memory that a process and those it started had at once, sampled every five seconds.

    Attributes
    ----------
    bytes : int
        Pages that several share are counted once (proportional set size), where the system tells.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            self.bytes = max(self.bytes, memory_of(self._process))


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process and all below it have now."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            info = one.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total += getattr(info, "pss", info.uss)
    return total


if __name__ == "__main__":
    main()
