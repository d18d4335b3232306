"""Start-up benchmark: `fedtwin --help`, `fedtwin runs`, and the time until the first gradient step.

python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.speed import machine, ours
from benchmarks.speed.meter import child_environment

TIMEOUT_S = 120.0
# Both end at their first step; the hook is called by whichever optimiser makes it.
BARE = """
import os, torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(lambda *args: os._exit(0))
torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
loss = nn.functional.cross_entropy(model(torch.rand(16, 1, 8, 8)), torch.zeros(16, dtype=torch.long))
loss.backward()
optimizer.step()
"""
OURS = """
import os, sys
from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(lambda *args: os._exit(0))
from fedtwin.cli.main import main
sys.argv = ["fedtwin", "centralized", "trainer.accelerator=cpu", "trainer.progress=false"]
main()
"""


@dataclass
class Way:
    """A command, and what it took each time: seconds on the clock, and of the processor."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def run(self, home: str) -> tuple[float, float]:
        """Run it once.

        Parameters
        ----------
        home : str
            Its ``FEDTWIN_HOME``.

        Returns
        -------
        tuple of float
            Seconds on the clock, and of the processor: those do not depend on what else the machine does.
        """
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            self.command,
            env=child_environment(FEDTWIN_HOME=home),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return time.perf_counter() - began, cpu_s


def main() -> None:
    """Measure one after the other, several times, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each (7)")
    options = parser.parse_args()
    bare = Way("a bare script, first step", [sys.executable, "-c", BARE])
    first = Way("`fedtwin centralized`, first step", [sys.executable, "-c", OURS])
    ways = [
        Way("`fedtwin --help`", ours.command("--help")),
        Way("`fedtwin runs`", ours.command("runs")),
        bare,
        first,
    ]
    with tempfile.TemporaryDirectory(prefix="fedtwin-startup-") as home:
        for number in range(options.runs + 1):
            for way in ways:
                seconds, cpu_s = way.run(home)
                if number:  # the first compiles bytecode and decodes the images
                    way.seconds.append(seconds)
                    way.cpu_s.append(cpu_s)
    print(f"{machine.line(machine.describe())}\n\n| command | seconds | CPU seconds |\n|---|---|---|")
    for way in ways:
        print(f"| {way.name} | {spread(way.seconds)} | {spread(way.cpu_s)} |")
    print(f"| first step, against the bare script | {ratio(first.seconds, bare.seconds)} | ", end="")
    print(f"{ratio(first.cpu_s, bare.cpu_s)} |")


def ratio(ours_s: Sequence[float], bare_s: Sequence[float]) -> str:
    """The ratios run by run, see `spread`."""
    return spread([ours_s / bare_s for ours_s, bare_s in zip(ours_s, bare_s, strict=True)])


def spread(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
