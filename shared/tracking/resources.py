"""`sample_resources`: processor, memory and GPU of a run over time, in a file of the run."""

from __future__ import annotations

import contextlib
import csv
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

RESOURCES_FILE = "resources.csv"  # in a run's folder
FIRST_S, LONGEST_S, GROWTH = 1.0, 10.0, 1.2  # a short run has some samples, a long one does not fill the disk
_GPU_QUERY = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
_GPU_S = 5.0


@dataclass(frozen=True)
class Sample:
    """One moment.

    Attributes
    ----------
    time : int
        Milliseconds since 1970.
    cpu : float or None
        Per cent of one core that the run's process and those below it used since the sample before; None in
        the first one.
    memory : int
        Bytes that they hold; what several share is counted for each.
    machine_cpu : float
        Per cent of all cores of the machine.
    machine_memory : int
        Bytes that are used on the machine.
    gpu, gpu_memory : float or None, int or None
        Per cent and bytes, of all GPUs of the machine together: the mean and the sum; None without one.
    """

    time: int
    cpu: float | None
    memory: int
    machine_cpu: float
    machine_memory: int
    gpu: float | None = None
    gpu_memory: int | None = None


class Meter:
    """Takes samples of this process, those below it and the machine."""

    def __init__(self) -> None:
        import psutil

        self._psutil, self._own = psutil, psutil.Process()
        self._seconds: dict[int, float] = {}
        self._at: float | None = None
        self._smi = shutil.which("nvidia-smi")
        psutil.cpu_percent()  # its first answer means nothing

    def take(self) -> Sample:
        """Now."""
        now, memory, used = time.monotonic(), 0, 0.0
        before, self._seconds = self._seconds, {}
        for process in [self._own, *self._own.children(recursive=True)]:
            with contextlib.suppress(self._psutil.Error):  # it has ended meanwhile
                times = process.cpu_times()
                self._seconds[process.pid] = times.user + times.system
                used += self._seconds[process.pid] - before.get(process.pid, 0.0)
                memory += process.memory_info().rss
        cpu = None if self._at is None else max(0.0, 100 * used / max(now - self._at, 1e-9))
        self._at = now
        gpu, gpu_memory = self._gpus()
        return Sample(
            time=round(1000 * time.time()),
            cpu=None if cpu is None else round(cpu, 1),
            memory=memory,
            machine_cpu=self._psutil.cpu_percent(),
            machine_memory=int(self._psutil.virtual_memory().used),
            gpu=gpu,
            gpu_memory=gpu_memory,
        )

    def _gpus(self) -> tuple[float | None, int | None]:
        if self._smi is None:
            return None, None
        try:
            done = subprocess.run(
                [self._smi, *_GPU_QUERY], capture_output=True, text=True, timeout=_GPU_S, check=True
            )
            rows = [[float(cell) for cell in line.split(",")] for line in done.stdout.splitlines() if line]
        except (OSError, subprocess.SubprocessError, ValueError):
            self._smi = None  # a driver without a GPU: not asked again
            return None, None
        if not rows:
            return None, None
        return sum(row[0] for row in rows) / len(rows), round(sum(row[1] for row in rows) * 2**20)


@contextmanager
def sample_resources(folder: Path, *, first_s: float = FIRST_S) -> Iterator[None]:
    """Append samples to a file of the run while the block lasts, in a thread; it never fails the run.

    Parameters
    ----------
    folder : Path
        Of the run; it exists.
    first_s : float, seconds
        Until the second sample; the time between two grows to 10 s.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(folder, ended, first_s), name="resources", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def read_resources(path: Path) -> list[Sample]:
    """The samples in a file; lines that are cut, as by a killed process, are left out.

    Raises
    ------
    FileNotFoundError
    """
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found.append(
                    Sample(
                        time=int(row["time"]),
                        cpu=float(row["cpu"]) if row["cpu"] else None,
                        memory=int(row["memory"]),
                        machine_cpu=float(row["machine_cpu"]),
                        machine_memory=int(row["machine_memory"]),
                        gpu=float(row["gpu"]) if row["gpu"] else None,
                        gpu_memory=int(row["gpu_memory"]) if row["gpu_memory"] else None,
                    )
                )
    return found


def _sample(folder: Path, ended: threading.Event, wait_s: float) -> None:
    try:
        meter, path = Meter(), folder / RESOURCES_FILE
        new = not path.exists()  # a resumed run goes on in the same file
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow([field.name for field in fields(Sample)])
            while True:
                writer.writerow(["" if value is None else value for value in astuple(meter.take())])
                file.flush()
                if ended.wait(wait_s):
                    writer.writerow(["" if value is None else value for value in astuple(meter.take())])
                    return
                wait_s = min(LONGEST_S, wait_s * GROWTH)
    except OSError as error:  # a full disk ends the samples, not the training
        from shared.tracking.run_log import logger

        logger.warning("processor and memory are no longer sampled: %s", error)
