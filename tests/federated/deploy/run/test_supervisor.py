"""Programs that are to run all the time, as real processes; and machines on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from federated.deploy.demo.network_namespaces import NetworkNamespaces, namespaces_permitted
from federated.deploy.run.supervisor import PAUSES_S, Program, Supervisor
from shared.runtime.errors import DeployError


def program(tmp_path: Path, script: str) -> Program:
    return Program("it", ["sh", "-c", script], dict(os.environ), tmp_path / "log" / "it.log")


def until(condition: Callable[[], bool], supervisor: Supervisor) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        supervisor.tick()
        time.sleep(0.01)


def test_what_ends_starts_again_after_a_growing_pause(tmp_path: Path) -> None:
    lines: list[str] = []
    it = program(tmp_path, "echo up; exit 3")
    with Supervisor([it], say=lines.append, pauses=(0.01, 0.02)) as supervisor:
        until(lambda: it.log.exists() and it.log.read_text().count("up") >= 4, supervisor)
    ended = [line for line in lines if "ended" in line]
    assert "it ended (status 3); it starts again in 0.01 s" in ended[0]
    assert all("starts again in 0.02 s" in line for line in ended[1:])
    assert (it.log.stat().st_mode & 0o777) == 0o600


def test_the_pauses_outlast_a_minute_before_they_repeat() -> None:
    # A node is refused until its last heartbeat has run out, and each refusal ends it.
    assert sum(PAUSES_S) > 60


def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    it = program(tmp_path, f"sleep 300 & echo $! > {tmp_path}/child; sleep 0.2; exit 1")
    with Supervisor([it], say=lambda line: None, pauses=(300,)) as supervisor:
        until(lambda: it.process is None and it.failures == 1, supervisor)
        child = int((tmp_path / "child").read_text())
        until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", supervisor)


def test_the_end_of_the_block_ends_even_what_does_not_listen(tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
    it = program(tmp_path, script)
    with Supervisor([it], say=lambda line: None, patience_s=0.3) as supervisor:
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "", supervisor)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def spaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith(f"fedtwin-{os.getpid()}-")}


def test_machines_reach_each_other_unless_they_are_cut_off(tmp_path: Path) -> None:
    if not namespaces_permitted():
        pytest.skip("network namespaces are not permitted here")
    serve = [sys.executable, "-m", "http.server", "8000", "--bind"]
    with NetworkNamespaces(["server", "north", "south"], isolated=True) as hosts:
        assert len({hosts.address(name) for name in hosts.names}) == 3
        hosts.start("server", [*serve, hosts.address("server")], env=os.environ, log=tmp_path / "server.log")
        hosts.start("north", [*serve, "127.0.0.1"], env=os.environ, log=tmp_path / "north.log")

        def reached(who: str, address: str) -> bool:
            code = f"import socket; socket.create_connection(('{address}', 8000), 1)"
            command = hosts.command(who, [sys.executable, "-c", code])
            return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

        def waits_for(wanted: bool, who: str, address: str) -> None:
            deadline = time.monotonic() + 60
            while reached(who, address) is not wanted:
                assert time.monotonic() < deadline

        waits_for(True, "south", hosts.address("server"))
        waits_for(True, "north", "127.0.0.1")
        assert not reached("south", hosts.address("north")), "what listens on loopback stays there"
        hosts.set_link("south", up=False)
        waits_for(False, "south", hosts.address("server"))
        hosts.set_link("south", up=True)
        waits_for(True, "south", hosts.address("server"))
        assert hosts.pids("server")
        processes = [psutil.Process(pid) for name in hosts.names for pid in hosts.pids(name)]
        assert len(spaces()) == 4
    assert not spaces()
    assert not [process for process in processes if process.is_running()]


def test_without_namespaces_all_machines_are_one() -> None:
    with NetworkNamespaces(["server", "north"], isolated=False) as hosts:
        assert hosts.command("north", ["true"]) == ["true"]
        assert hosts.address("server") == hosts.address("north") == "127.0.0.1"
        with pytest.raises(DeployError, match="no machine can be cut off"):
            hosts.set_link("north", up=False)
