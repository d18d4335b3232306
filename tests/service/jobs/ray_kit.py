"""`RayHead`: a real Ray cluster of one node for tests, from an environment of its own with ``ray[default]``."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil

from tests.environments import new_environment

ROOT = Path(__file__).parents[3]
START_S = 120.0
# `ray start --block` does the same, but ends all when its server for remote clients, which nobody needs, does.
CODE = """
import signal, sys, ray
own = {"dashboard_host": "127.0.0.1", "dashboard_port": int(sys.argv[1]), "_temp_dir": sys.argv[2]}
ray.init("local", include_dashboard=True, num_cpus=2, object_store_memory=80_000_000, **own)
signal.pause()
"""
# On a busy machine Ray's own limits are short: what starts late would end the cluster.
PATIENT = {
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": str(START_S),
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_health_check_initial_delay_ms": "60000",
    "RAY_health_check_timeout_ms": "60000",
}


def ray_python(folder: Path) -> Path:
    """Python with what ``ray[default]`` needs beyond our Ray, which is compiled already, and our packages."""
    pinned = ("-c", str(ROOT / "constraints.txt"), f"ray[default]=={version('ray')}")
    python = new_environment(folder, *pinned, what="ray[default]")
    uninstall = [sys.executable, "-m", "uv", "pip", "uninstall", "--quiet", "--python", python, "ray"]
    subprocess.run(uninstall, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib"))
    return python


class RayHead:
    """Starts the cluster, whose jobs find their home and database in the environment of its node."""

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self.address = f"http://127.0.0.1:{_port()}"
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # the paths of its sockets are short
        port = self.address.rpartition(":")[2]
        own = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        own |= PATIENT
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FEDTWIN_", "RAY_"))}
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-c", CODE, port, self._folder],
                env={**kept, **own, **environment},
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        self._http = httpx.Client(base_url=self.address, trust_env=False, timeout=30)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._http.get("/api/jobs/").raise_for_status()
                return
            except httpx.HTTPError:
                told = (self._folder / "log.txt").read_text()
                assert self._process.poll() is None, told
                assert time.monotonic() < deadline, told
                time.sleep(0.1)

    def jobs(self) -> dict[str, str]:
        """Status by submission id."""
        return {one["submission_id"]: one["status"] for one in self._submitted()}

    def shown(self) -> str:
        """All that its pages show of its jobs."""
        found = self._submitted()
        logs = [self._http.get(f"/api/jobs/{one['submission_id']}/logs").text for one in found]
        return json.dumps([found, logs])

    def _submitted(self) -> list[dict[str, str]]:
        return [one for one in self._http.get("/api/jobs/").json() if one["submission_id"] is not None]

    def stop(self) -> None:
        """Kill all of its processes but those of jobs, as if the network between had gone."""
        if self._http.is_closed:
            return  # it was stopped before
        if self._process.poll() is None:
            for one in list(_below(psutil.Process(self._process.pid))):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        else:
            print((self._folder / "log.txt").read_text())  # it has ended by itself
        self._process.kill()
        self._process.wait()
        self._http.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _port() -> int:
    """A free port that no connection is given meanwhile, as Ray takes seconds until it listens."""
    while True:
        port = random.randint(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _below(process: psutil.Process) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        for child in process.children():
            if "service.jobs.leased" not in " ".join(child.cmdline()):
                yield from _below(child)
                yield child
