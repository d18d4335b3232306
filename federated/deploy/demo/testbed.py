"""`Testbed`: a whole deployment on one machine, with real kits and processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from federated.deploy.demo.network_namespaces import NetworkNamespaces
from federated.kit.deployment import Deployment
from federated.kit.federation_file import FederationFile
from federated.kit.server_kit import state_folder
from shared.runtime.errors import DeployError

SERVER = "server"


class Testbed:
    """A server and sites, each on a machine of `NetworkNamespaces`.

    Parameters
    ----------
    hosts : NetworkNamespaces
        Their first is called ``server``, the others are the sites.
    folder : Path
        Takes the kits and the logs.
    data : mapping of str to Path
        The data of each site.
    home : Path
        ``FEDTWIN_HOME`` of the server.
    port, superlink_port, node_port : int
        The sites' ports count up from ``node_port``. Where all machines are one, free ports are taken instead.
    """

    __test__ = False  # pytest would take it for tests

    def __init__(
        self,
        hosts: NetworkNamespaces,
        *,
        folder: Path,
        data: Mapping[str, Path],
        home: Path,
        port: int = 9443,
        superlink_port: int = 9092,
        node_port: int = 9194,
    ) -> None:
        self.hosts, self.folder, self.home = hosts, folder, home
        self.sites = [name for name in hosts.names if name != SERVER]
        address = hosts.address(SERVER)
        ports = [port, superlink_port, *range(node_port, node_port + len(self.sites))]
        if not hosts.isolated:  # other programs of this machine may have them
            ports = free_ports(len(ports))
        plan = FederationFile.model_validate(
            {
                "name": "testbed",
                "server": {
                    "address": address,
                    "listen": address,
                    "port": ports[0],
                    "superlink_port": ports[1],
                },
                "sites": [
                    {"name": name, "data_path": str(data[name]), "node_port": ports[2 + place]}
                    for place, name in enumerate(self.sites)
                ],
                "supervisor": "script",
                "requires": {"disk_gb": 0.1, "memory_gb": 0.1},
            }
        )
        self.deployment = Deployment.create(plan, folder=folder / "deployment")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def kit(self, name: str) -> Path:
        """The kit of the server or a site."""
        return self.deployment.server_kit if name == SERVER else self.deployment.site_kit(name)

    def log(self, name: str) -> Path:
        """What a machine's supervisor says."""
        return self.folder / "logs" / f"{name}.log"

    def start(self, name: str, *, more: Mapping[str, str] | None = None) -> None:
        """Start a kit by its own script.

        Parameters
        ----------
        more : mapping of str to str, optional
            Further variables.
        """
        script = self.kit(name) / "start.sh"
        self.processes[name] = self.hosts.start(
            name, ["sh", str(script)], env={**self.env(name), **(more or {})}, log=self.log(name)
        )

    def wait_until_ready(self, *, timeout: float = 180) -> None:
        """Wait until the server answers and knows its sites.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        DeployError
            With the end of its log.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            text = self.log(SERVER).read_text(errors="replace") if self.log(SERVER).exists() else ""
            if "ready: " in text:
                return
            if (status := self.processes[SERVER].poll()) is not None:
                raise DeployError(f"the server ended with status {status}:\n{text[-2000:]}")
            time.sleep(0.2)
        raise DeployError(f"the server was not ready within {timeout:g} s:\n{text[-2000:]}")

    def run(
        self, name: str, *arguments: str, timeout: float = 300, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``fedtwin`` on a machine, to its end.

        Parameters
        ----------
        timeout : float
            Seconds.
        more : mapping of str to str, optional
            Further variables.
        """
        return subprocess.run(
            self.hosts.command(name, self.fedtwin(*arguments)),
            env={**self.env(name), **(more or {})},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def federate(self, overrides: Sequence[str]) -> subprocess.Popen[bytes]:
        """Begin a federated run on the server.

        Parameters
        ----------
        overrides : sequence of str
            Hydra's.

        Returns
        -------
        Popen
            Its output goes to ``logs/run.log``.
        """
        kit = [f"federation.kit={self.kit(SERVER)}", f"federation.num_clients={len(self.sites)}"]
        command = self.fedtwin("federated", "federation=deployment", *kit, *overrides)
        return self.hosts.start(SERVER, command, env=self.env(SERVER), log=self.folder / "logs" / "run.log")

    def stop(self, name: str) -> None:
        """End what a kit runs, as its own machine would."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(timeout=60)

    def clients(self, name: str) -> list[psutil.Process]:
        """The processes that work on a message at a site."""
        found: list[psutil.Process] = []
        for parent in self.programs(name, "federated.deploy.run.zygote"):
            with suppress(psutil.Error):
                found += parent.children()
        return found

    def kill_node(self, name: str) -> None:
        """Kill a site's SuperNode and all it started, as a crash would; its supervisor lives."""
        kill_tree([*self.clients(name), *self.programs(name, "flower-supernode")])

    def programs(self, name: str, program: str) -> list[psutil.Process]:
        """The processes of a program that a machine's kit runs.

        Parameters
        ----------
        program : str
            Such as ``flower-supernode``.
        """
        flower_home = self.kit(name) / "flower" if name == SERVER else state_folder(self.kit(name)) / "flower"
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("FLWR_HOME") != str(flower_home):
                    continue
                if any(Path(part).name == program for part in process.cmdline()[:3]):
                    found.append(process)
        return found

    def env(self, name: str) -> dict[str, str]:
        """The environment of what runs on a machine."""
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        env["PYTHONUNBUFFERED"] = "1"
        for variable in ("FEDTWIN_HOME", "FEDTWIN_STATE", "PYTHONDONTWRITEBYTECODE"):
            env.pop(variable, None)
        if name == SERVER:
            env["FEDTWIN_HOME"] = str(self.home)
        else:
            env.pop("FEDTWIN_DATABASE_URL", None)
        return env

    @staticmethod
    def fedtwin(*arguments: str) -> list[str]:
        """The command."""
        return [sys.executable, "-m", "fedtwin", *arguments]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody has at this moment.

    Returns
    -------
    list of int
        All different.
    """
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def kill_tree(processes: Sequence[psutil.Process]) -> None:
    """Kill processes with ``SIGKILL``, and whatever they started."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for child in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(signal.SIGKILL)
