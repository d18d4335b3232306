"""``fedtwin deploy demo``: a server and three sites on this machine, by real kits on a `Testbed`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from federated.deploy.demo.data import SITES, Say, data_settings, share_out
from federated.deploy.demo.network_namespaces import NetworkNamespaces
from federated.deploy.demo.testbed import SERVER, Testbed
from shared.runtime.errors import DeployError
from shared.runtime.home import open_home
from shared.runtime.signals import sigterm_as_interrupt

_POLL_S = 0.5


def demo(
    *,
    data: str | None,
    rounds: int,
    overrides: Sequence[str] = (),
    keep: Path | None = None,
    loopback: bool = False,
) -> None:
    """Stand up a federation, train, and end all of it; Ctrl-C ends it at any time.

    Parameters
    ----------
    data : str or None
        A ZIP, a folder or an ``.npz``; None: the built-in digits.
    overrides : sequence of str
        Further settings of the run, in Hydra's form.
    keep : Path, optional
        Where kits, data and logs stay; without it they are deleted.
    loopback : bool
        Make no network namespaces, even if they are permitted.

    Raises
    ------
    DeployError
        Something did not start, or the run did not complete.
    DataError
    KeyboardInterrupt
    """
    home = open_home()
    with tempfile.TemporaryDirectory(prefix="fedtwin-demo-") as temporary, sigterm_as_interrupt():
        folder = (keep or Path(temporary)).absolute()
        began = time.monotonic()

        def say(line: str) -> None:
            print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

        settings = data_settings(data)
        paths, shared = share_out(settings, folder=folder / "data", home=home, say=say)
        with NetworkNamespaces([SERVER, *SITES], isolated=False if loopback else None) as hosts:
            _tell_where(hosts, say)
            bed = Testbed(hosts, folder=folder, data=paths, home=home.root)
            _start(bed, say)
            with _Page(folder / "logs" / "page.log", say):
                run = [f"data.path={paths[SERVER]}", *shared, f"federation.num_rounds={rounds}", *overrides]
                _follow(bed, run, say)
            say("ending everything that was started")
    say("done; the run stays in the database: fedtwin runs, fedtwin serve")


def _tell_where(hosts: NetworkNamespaces, say: Say) -> None:
    if hosts.isolated:
        places = ", ".join(f"{name} {hosts.address(name)}" for name in hosts.names)
        say(f"each machine is a network namespace with an address of its own: {places}")
    else:
        say(
            "without network namespaces (not permitted, or not wanted): all machines share one loopback address"
        )


def _start(bed: Testbed, say: Say) -> None:
    plan = bed.deployment.plan
    say(f"kits made in {bed.deployment.folder}: authority, certificate, {len(plan.sites)} key pairs")
    bed.start(SERVER)
    bed.wait_until_ready()
    say(f"server: SuperLink on loopback, nginx on {plan.server.address}:{plan.server.port}, keys registered")
    for name in bed.sites:
        checked = bed.run(name, "deploy", "check", str(bed.kit(name)))
        last = (checked.stdout.strip() or checked.stderr.strip()).splitlines()[-1]
        say(f"{name}: fedtwin deploy check: {last}")
        if checked.returncode:
            raise DeployError(f"{name} cannot take part:\n{checked.stdout}{checked.stderr}")
        bed.start(name)
    say("sites started: each connects from its own machine, with its own key")


def _follow(bed: Testbed, overrides: Sequence[str], say: Say) -> None:
    say("training; in another terminal: fedtwin watch RUN")
    process, log = bed.federate(overrides), bed.folder / "logs" / "run.log"
    shown = 0
    while True:
        ended = process.poll() is not None
        lines = log.read_text(errors="replace").splitlines()
        if not ended and lines and not log.read_text(errors="replace").endswith("\n"):
            lines.pop()  # only half written
        for line in lines[shown:]:
            print(f"          {line}", flush=True)
        shown = max(shown, len(lines))
        if ended:
            break
        time.sleep(_POLL_S)
    if process.returncode:
        raise DeployError(f"the run did not complete (exit status {process.returncode}); see above")


class _Page:
    """The live page, on a free port of this machine, while the block lasts."""

    def __init__(self, log: Path, say: Say) -> None:
        command = [sys.executable, "-m", "fedtwin", "serve", "--port", "0"]
        self.say, self.log = say, log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )

    def __enter__(self) -> _Page:
        assert self.process.stdout is not None
        self.say(self.process.stdout.readline().strip() or f"no live page: {self.log.read_text().strip()}")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
