"""`NetworkNamespaces`: several machines on one, each a network namespace with its own address."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from shared.runtime.errors import DeployError

_SWITCH, _SERVER_BYTE, _SITE_BYTE = "switch", 1, 11
_LOOPBACK = "127.0.0.1"


class NetworkNamespaces:
    """Machines by name, the first of which is the server; where namespaces are not permitted, all are this one.

    Parameters
    ----------
    isolated : bool, optional
        Whether each gets a namespace; None: if it is permitted.

    Raises
    ------
    DeployError
        Namespaces were asked for, and are not permitted.
    """

    def __init__(self, names: Sequence[str], *, isolated: bool | None = None) -> None:
        self.names = list(names)
        self._prefix = f"fedtwin-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
        self._processes: list[subprocess.Popen[bytes]] = []
        possible = namespaces_permitted() if isolated is not False else False
        if isolated and not possible:
            raise DeployError(
                "network namespaces are not permitted here (`ip netns add`): run as root with iproute2"
            )
        self.isolated = possible

    def __enter__(self) -> NetworkNamespaces:
        if self.isolated:
            try:
                self._connect()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self.isolated:
            for name in (*self.names, _SWITCH):
                for pid in self.pids(name):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                subprocess.run(["ip", "netns", "del", self._space(name)], capture_output=True, check=False)

    def address(self, name: str) -> str:
        """The address by which the others reach a machine."""
        if not self.isolated:
            return _LOOPBACK
        place = self.names.index(name)
        return f"10.213.0.{_SERVER_BYTE if place == 0 else _SITE_BYTE + place - 1}"

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """A command as it is run on a machine."""
        return ["ip", "netns", "exec", self._space(name), *command] if self.isolated else list(command)

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program on a machine; it is ended with the block at the latest.

        Parameters
        ----------
        log : Path
            Takes its output.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(name, command),
                env=dict(env),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def pids(self, name: str) -> list[int]:
        """Everything that runs on a machine.

        Returns
        -------
        list of int
            Empty where there are no namespaces.
        """
        if not self.isolated:
            return []
        found = subprocess.run(
            ["ip", "netns", "pids", self._space(name)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in found.stdout.split()]

    def set_link(self, name: str, *, up: bool) -> None:
        """Cut a machine off from the others, or connect it again.

        Raises
        ------
        DeployError
            There are no namespaces.
        """
        if not self.isolated:
            raise DeployError("without network namespaces no machine can be cut off")
        port = f"port{self.names.index(name)}"
        _ip("-n", self._space(_SWITCH), "link", "set", port, "up" if up else "down")

    def set_upload(self, name: str, *, bytes_per_s: int | None) -> None:
        """Limit what a machine sends, or lift the limit with None.

        Raises
        ------
        DeployError
            There are no namespaces.
        """
        if not self.isolated:
            raise DeployError("without network namespaces no machine's upload can be limited")
        tc = ["tc", "-n", self._space(name), "qdisc"]
        if bytes_per_s is None:
            _run(*tc, "del", "dev", "eth0", "root")
            return
        limit = ["tbf", "rate", f"{bytes_per_s}bps", "burst", "16kb", "latency", "400ms"]
        _run(*tc, "replace", "dev", "eth0", "root", *limit)

    def _space(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _connect(self) -> None:
        # The switch is a namespace too: nothing of this machine's own network is touched.
        switch = self._space(_SWITCH)
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge0", "up")
        for place, name in enumerate(self.names):
            space, port = self._space(name), f"port{place}"
            _ip("netns", "add", space)
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", switch, "link", "set", port, "master", "bridge0", "up")
            _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")


def namespaces_permitted() -> bool:
    """Whether network namespaces, with a network between them, can be made here."""
    if shutil.which("ip") is None:
        return False
    space = f"fedtwin-{os.getpid()}-trial"
    try:
        _ip("netns", "add", space)
        try:
            _ip("-n", space, "link", "add", "bridge0", "type", "bridge")
            _ip("-n", space, "link", "add", "port0", "type", "veth", "peer", "name", "eth0")
            _ip("netns", "exec", space, "true")
        finally:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
    except DeployError:
        return False
    return True


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
