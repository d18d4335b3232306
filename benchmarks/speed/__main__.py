"""Runs the speed benchmark: all systems on all workloads, repeatedly, then writes tables and a figure."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.speed import figure, machine, table
from benchmarks.speed.handover import TASK, Task
from benchmarks.speed.images import data_of
from benchmarks.speed.meter import child_environment, measure
from benchmarks.speed.pfl_env import NotAvailableError
from benchmarks.speed.processes import adopt_orphans
from benchmarks.speed.sample import Sample, make_sample
from benchmarks.speed.systems import SYSTEMS, Job, System
from benchmarks.speed.workloads import WORKLOADS, Workload

PLAN_S = 300.0


def main() -> None:
    """Run, print the tables, write the files; the exit status is 1 if a command failed."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    adopt_orphans()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a benchmark that is ended ends what it started
    described = machine.describe()
    systems, absent = _available(options.systems, cache=options.cache)
    workloads = {one.name: one.with_rounds(options.rounds) for one in options.workloads}
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="fedtwin-speed-") as scratch:
        for workload in workloads.values():
            for sample in _measure(workload, systems, options=options, scratch=Path(scratch)):
                samples.append(sample)
                print(_line(sample), flush=True)
                _write(options.out, samples, described=described, workloads=workloads, absent=absent)
    print(f"\n{machine.line(described)}\n\n{table.markdown(samples, workloads=workloads, absent=absent)}")
    sys.exit(1 if any(sample.error for sample in samples) else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="PneumoniaMNIST's .npz (28 x 28)")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help=f"some of {','.join(WORKLOADS)} (all)")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help=f"some of {','.join(SYSTEMS)} (all)")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each (3)")
    parser.add_argument("--no-warm-up", action="store_true", help="skip the run that is not counted")
    parser.add_argument("--rounds", type=int, help="instead of each workload's own, to try it out")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds for one command (1200)")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/speed"), help="folder of the results (outputs/speed)"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("outputs/speed-cache"), help="folder of pfl-research's environment"
    )
    options = parser.parse_args()
    for name, known in (("workloads", WORKLOADS), ("systems", SYSTEMS)):
        wanted = getattr(options, name).split(",")
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            parser.error(f"--{name} must be some of {', '.join(known)}, got {', '.join(unknown)}")
        setattr(options, name, [known[one] for one in known if one in wanted])
    if options.runs < 1 or (options.rounds is not None and options.rounds < 2):
        parser.error("--runs must be at least 1, and --rounds at least 2")
    if not options.data.is_file():
        parser.error(f"there is no file {options.data}")
    return options


def _available(wanted: Sequence[System], *, cache: Path) -> tuple[list[System], dict[str, str]]:
    found, absent = [], {}
    for system in wanted:
        try:
            system.check(cache)
        except NotAvailableError as reason:
            absent[system.name] = str(reason)
            print(f"not available: {system.title}: {reason}", flush=True)
        else:
            found.append(system)
    return found, absent


def _measure(
    workload: Workload, systems: Sequence[System], *, options: argparse.Namespace, scratch: Path
) -> Iterator[Sample]:
    data = data_of(workload, data=options.data, folder=scratch)
    plan = scratch / f"{workload.name}-plan.npz"
    _draw_plan(Task(workload, data=str(data), plan=str(plan), marks=""), scratch=scratch)
    for run in range(1 if options.no_warm_up else 0, options.runs + 1):
        for system in systems:
            if not system.takes(workload):
                continue
            folder = scratch / f"{workload.name}-{system.name}-{run}"
            home = scratch / f"{workload.name}-{system.name}"
            for made in (folder, home):
                made.mkdir(exist_ok=True)
            task = Task(workload, data=str(data), plan=str(plan), marks=str(folder / "marks.jsonl"))
            task.write(folder / "task.json")
            job = Job(task, folder / "task.json", folder=folder, home=home, cache=options.cache)
            measured = measure(
                system.command(job),
                env=child_environment(**job.env),
                folder=folder,
                timeout_s=options.timeout,
            )
            marks = system.marks(job) if measured.status == 0 else []
            shutil.rmtree(folder, ignore_errors=True)  # Lightning's checkpoints take gigabytes
            if measured.left:
                print(f"{system.title} left behind: {', '.join(sorted(set(measured.left)))}", flush=True)
            yield make_sample(
                workload.name,
                system.name,
                run=run,
                rounds=workload.rounds,
                measured=measured,
                marks=marks,
            )


def _draw_plan(task: Task, *, scratch: Path) -> None:
    task.write(scratch / "task.json")
    command = [sys.executable, "-m", "benchmarks.speed.plan", "--cache", str(scratch / "images")]
    env = child_environment(**{TASK: str(scratch / "task.json")})
    subprocess.run(command, env=env, check=True, timeout=PLAN_S)


def _line(sample: Sample) -> str:
    start = f"{sample.workload} run {sample.run} {sample.system}:"
    if sample.error:
        return f"{start} failed: {sample.error}"
    return (
        f"{start} wall {sample.wall:.1f} s, CPU {sample.cpu:.1f} s, per round {sample.round_wall:.2f} / "
        f"{sample.round_cpu:.2f} s, {sample.memory:.0f} MB, loss {sample.loss:.5f}, AUC {sample.auc:.4f}"
    )


def _write(
    out: Path,
    samples: Sequence[Sample],
    *,
    described: dict[str, object],
    workloads: dict[str, Workload],
    absent: dict[str, str],
) -> None:
    measured = {
        "machine": described,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "workloads": {name: workload.as_dict() for name, workload in workloads.items()},
        "not_available": absent,
        "samples": [sample.as_dict() for sample in samples],
    }
    (out / "speed.json").write_text(json.dumps(measured, indent=1) + "\n")
    tables = table.markdown(samples, workloads=workloads, absent=absent)
    (out / "speed.md").write_text(f"{machine.line(described)}\n\n{tables}")
    if any(sample.counted for sample in samples):
        figure.draw(samples, out / "speed.png", workloads=workloads)


if __name__ == "__main__":
    main()
