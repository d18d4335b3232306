"""Runs the app in `flower_app` with ``flwr run`` from a neutral folder, and stops everything it started."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.speed.handover import TASK, Task

APP = Path(__file__).parent / "flower_app"
ACTORS = 2
END_S = 10.0


def main() -> None:
    """Start, wait, end; the exit status is that of ``flwr run``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["loop", "lightning"], required=True)
    options = parser.parse_args()
    folder = Path.cwd()
    shutil.copytree(APP, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    env = environment(folder)
    task = Task.read()
    command = [str(Path(sys.executable).parent / "flwr"), "run", str(folder / "app"), "--stream"]
    command += ["--run-config", f'task="{os.environ[TASK]}" way="{options.way}"']
    command += [
        "--federation-config",
        f"num-supernodes={task.workload.clients} client-resources-num-cpus=1 init-args-num-cpus={ACTORS}",
    ]
    try:
        status = subprocess.run(command, env=env, cwd=folder, check=False).returncode
    finally:
        end_all(env["FLWR_HOME"])
    sys.exit(status)


def environment(folder: Path) -> dict[str, str]:
    """What Flower needs to stay in a folder, and off everybody else's ports."""
    with socket.socket() as one, socket.socket() as other:  # both open, so that they differ
        ports = []
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
            ports.append(str(probe.getsockname()[1]))
    return {
        **os.environ,
        "FLWR_HOME": str(folder / "flower"),
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": ports[0],
        "FLWR_LOCAL_CONTROL_API_PORT": ports[1],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def end_all(flower_home: str) -> None:
    """End the SuperLink that ``flwr run`` leaves, and whatever else carries this home."""
    ours = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("FLWR_HOME") == flower_home:
                process.kill()
                ours.append(process)
    psutil.wait_procs(ours, timeout=END_S)


if __name__ == "__main__":
    main()
