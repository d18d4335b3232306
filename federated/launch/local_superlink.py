"""`LocalSuperLink`: one SuperLink for one simulation, ended with all that it started."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from federated.kit.flower_cli import environment, tool
from federated.launch.flwr_run import flwr_run
from shared.runtime.errors import FederationError, TrackingError
from shared.runtime.files import free_room
from shared.runtime.home import Home
from shared.tracking.store import Store

if TYPE_CHECKING:  # `sweep` is there for commands that read no settings, and have no time for them
    from shared.config.config import Config

_FOLDERS, _OWNER = "flower-", "owner.json"
_LOG_LINES = 15
_RAY_S = 10.0
_APP = "flwr-simulation"  # the name of the process in which Flower runs the ServerApp and its clients


def sweep(store: Store, *, home: Home) -> None:
    """End what a killed command left: its SuperLink, once the run is over, and its folder."""
    for folder in left_behind(store, home=home):
        _kill_stragglers(folder)
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(store: Store, *, home: Home) -> list[Path]:
    """The folders of SuperLinks whose command was killed and whose run is over."""
    found = []
    for folder in sorted(home.root.glob(f"{_FOLDERS}*/")):
        try:
            owner = json.loads((folder / _OWNER).read_text())
        except (OSError, ValueError):
            continue  # just being made, or not ours
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(owner["pid"]).create_time() == owner["started"]:
                continue
        with suppress(TrackingError):
            if not store.runs.get(owner["run_id"]).finished:
                continue  # the command is gone, but its federation runs to its end
        found.append(folder)
    return found


class LocalSuperLink:
    """A SuperLink of one run alone, ended with the block.

    Raises
    ------
    FederationError
        Nothing listens at ``federation.ray_address``.
    """

    def __init__(self, cfg: Config, *, home: Home, run_id: int) -> None:
        self.cfg, self.home, self.run_id = cfg, home, run_id
        if cfg.federation.ray_address is not None:
            reach_ray(cfg.federation.ray_address)
        self.folder = Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=home.root))
        self.log = self.folder / "superlink.log"
        self.port = _free_port()
        self.env = self._environment()
        self.process: subprocess.Popen[bytes] | None = None
        self._app_seen = False

    def __enter__(self) -> LocalSuperLink:
        owner = {"pid": os.getpid(), "started": psutil.Process().create_time(), "run_id": self.run_id}
        (self.folder / _OWNER).write_text(json.dumps(owner))
        (self.folder / "config.toml").write_text(
            '[superlink]\ndefault = "fedtwin"\n\n'
            f'[superlink.fedtwin]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        command = [tool("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += [
            "--control-api-address",
            f"127.0.0.1:{_free_port()}",
            "--disable-runtime-dependency-installation",
        ]
        # A folder of its own: Ray's actors import from the SuperLink's folder before the app's.
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process is not None
        # Killed rather than asked: what it holds is removed with its folder, and a graceful end takes a while.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _kill_stragglers(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def submit(self, *, resume: bool) -> None:
        """Hand the run to the SuperLink.

        Raises
        ------
        FederationError
        """
        from federated.launch.capacity import capacity

        federation = self.cfg.federation
        allowed = capacity(self.cfg)
        if federation.ray_address is None:
            print(allowed.describe(), file=sys.stderr)
        size = (
            f"num-supernodes={federation.num_clients} client-resources-num-cpus={allowed.cpus} "
            f"client-resources-num-gpus={allowed.gpus}"
        )
        if federation.workers is not None:
            size += f" init-args-num-cpus={federation.workers * allowed.cpus}"
        flwr_run(
            run_id=self.run_id,
            home=self.home.root,
            resume=resume,
            more=["--federation-config", size],
            env=self.env,
            cwd=self.folder,
            timeout=federation.start_timeout_s,
        )

    def alive(self) -> bool:
        """Whether the SuperLink still runs."""
        return self.process is not None and self.process.poll() is None

    def app_ended(self) -> bool:
        """Whether the process of the run's app has been there and is gone."""
        assert self.process is not None
        running = False
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if child.name().startswith(_APP):
                        running = running or child.status() != psutil.STATUS_ZOMBIE
                        self._app_seen = True
        return self._app_seen and not running

    def log_tail(self) -> str:
        """The end of what Flower wrote, and how full the disk is."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([*lines[-_LOG_LINES:], f"(disk of {self.home.root}{free_room(self.folder)})"])

    def _environment(self) -> dict[str, str]:
        address = self.cfg.federation.ray_address
        return environment(
            {
                "FLWR_HOME": str(self.folder),
                "RAY_prestart_worker_first_driver": "0",
                "RAY_DISABLE_IMPORT_WARNING": "1",
                "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
                "FEDTWIN_HOME": str(self.home.root),
                "FEDTWIN_DATABASE_URL": self.home.database_url,
                **({} if address is None else {"RAY_ADDRESS": address}),
            }
        )

    def _wait_until_healthy(self) -> None:
        timeout = self.cfg.federation.start_timeout_s
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.alive():
                raise FederationError(f"Flower's SuperLink ended at its start:\n{self.log_tail()}")
            with suppress(OSError):  # of which urllib's own error is one
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).close()
                return
            time.sleep(0.1)
        raise FederationError(f"Flower's SuperLink was not ready within {timeout:g} s:\n{self.log_tail()}")


def reach_ray(address: str) -> None:
    """Make sure that a Ray cluster answers: Ray itself would wait for minutes, and then not say why.

    Raises
    ------
    FederationError
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_RAY_S).close()
    except (OSError, OverflowError) as error:
        raise FederationError(
            f"no Ray cluster answers at federation.ray_address={address} ({error}): start one there with "
            f"`ray start --head --port={port}`, or leave the setting out to use this machine alone"
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _kill_stragglers(folder: Path) -> None:
    # What Flower and Ray start has the SuperLink's folder as its own, or carries it as FLWR_HOME.
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid():
                continue
            if process.cwd() == str(folder) or process.environ().get("FLWR_HOME") == str(folder):
                process.kill()
