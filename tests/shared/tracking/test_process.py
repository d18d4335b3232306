"""Which process owns a run, and whether it lives."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

import pytest

from shared.tracking.process import is_gone, owner


def test_this_process_lives():
    here = owner()
    assert (here.host, here.pid) == (socket.gethostname(), os.getpid())
    assert here == owner(os.getpid())
    assert here.boot_id
    assert here.pid_started > 0
    assert not is_gone(here)


def test_a_process_with_the_same_id_is_another_one():
    assert is_gone(dataclasses.replace(owner(), pid_started=owner().pid_started + 1))


@pytest.mark.attack
def test_a_process_is_gone_when_killed_and_when_reaped():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        child = owner(process.pid)
        assert not is_gone(child)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(child)
        process.wait()
        assert is_gone(child)
    assert owner(child.pid).pid_started == 0
    assert is_gone(owner(child.pid))
