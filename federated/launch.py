"""Starts a simulation as Flower must be started: its own SuperLink, bounded waits, no exit code believed."""

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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shared.config import Config
from shared.errors import FederationError
from shared.home import Home
from shared.tracking.export import write_results
from shared.tracking.rows import RunRow
from shared.tracking.store import Store

PACKAGES = ("shared", "federated", "centralized", "conf")
_LOG_LINES = 15


def launch(
    cfg: Config,
    *,
    store: Store,
    home: Home,
    resume_run: int | None = None,
    on_poll: Callable[[int], None] = lambda run_id: None,
) -> int:
    """Run a federation with ``flwr run`` and wait for its end.

    Parameters
    ----------
    cfg : Config
    store : Store
    home : Home
    resume_run : int, optional
        A run that goes on after its last complete round.
    on_poll : callable
        Called with the run's id a few times a second, to show progress.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FederationError
        Flower did not start, or the run failed; the run row says why.
    """
    if resume_run is None:
        run_id = store.create_run(
            name=cfg.name,
            training_mode="federated",
            config=_with_absolute_paths(cfg).snapshot(),
            seed=cfg.seed,
            description=cfg.description,
            parent_id=cfg.tracking.parent_id,
            status="pending",
        )
    else:
        run_id = resume_run
        store.claim_run(run_id, resume=True)
    try:
        with _SuperLink(cfg, home=home) as superlink:
            superlink.submit(run_id, resume=resume_run is not None)
            _wait(store, run_id, superlink=superlink, on_poll=on_poll)
    except KeyboardInterrupt:
        store.finish_run(run_id, "stopped", stop_reason="interrupted by the user")
        raise
    except BaseException as error:
        store.finish_run(run_id, "failed", error=f"{type(error).__name__}: {error}")
        raise
    write_results(store, run_id, home.results)  # the ServerApp may have been ended while it wrote them
    return run_id


def app_folder(home: Home) -> Path:
    """The folder that ``flwr run`` takes: the checkout, or a copy of the installed packages.

    Parameters
    ----------
    home : Home

    Returns
    -------
    Path
        Holds ``pyproject.toml`` and our packages.
    """
    source = Path(__file__).resolve().parents[1]
    if (source / "pyproject.toml").is_file():
        return source
    target = home.root / "flower-app"
    with tempfile.TemporaryDirectory(dir=home.root) as folder:
        staged = Path(folder) / "app"
        for package in PACKAGES:
            shutil.copytree(source / package, staged / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(source / "federated" / "flower_app.toml", staged / "pyproject.toml")
        shutil.rmtree(target, ignore_errors=True)
        staged.replace(target)
    return target


def _with_absolute_paths(cfg: Config) -> Config:
    # Flower's processes work in another folder.
    if cfg.data.path is not None:
        cfg = cfg.replace("data", path=str(Path(cfg.data.path).expanduser().absolute()))
    if cfg.model.weights is not None:
        cfg = cfg.replace("model", weights=str(Path(cfg.model.weights).expanduser().absolute()))
    return cfg


class _SuperLink:
    """A SuperLink of this run alone, ended with it."""

    def __init__(self, cfg: Config, *, home: Home) -> None:
        self.cfg, self.home = cfg, home
        self.folder = Path(tempfile.mkdtemp(prefix="flower-", dir=home.root))
        self.log = self.folder / "superlink.log"
        self.port = _free_port()
        self.env = self._environment()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _SuperLink:
        (self.folder / "config.toml").write_text(
            '[superlink]\ndefault = "fedtwin"\n\n'
            f'[superlink.fedtwin]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        command = [_tool("flower-superlink"), "--insecure", "--simulation", "--isolation", "subprocess"]
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
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, kind)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
                break
        _kill_stragglers(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def submit(self, run_id: int, *, resume: bool) -> None:
        """Hand the run to the SuperLink.

        Parameters
        ----------
        run_id : int
        resume : bool

        Raises
        ------
        FederationError
        """
        federation = self.cfg.federation
        command = [_tool("flwr"), "run", str(app_folder(self.home)), "fedtwin", "--format", "json"]
        command += ["--run-config", f"run-id={run_id} resume={'true' if resume else 'false'}"]
        command += [
            "--federation-config",
            f"num-supernodes={federation.num_clients} client-resources-num-cpus={federation.client_cpus} "
            f"client-resources-num-gpus={federation.client_gpus}",
        ]
        try:
            done = subprocess.run(
                command,
                env=self.env,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=federation.start_timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FederationError(
                f"`flwr run` took more than {federation.start_timeout_s:g} s (federation.start_timeout_s)"
            ) from None
        answer = _last_json(done.stdout)
        if not answer.get("success"):
            raise FederationError(
                f"`flwr run` did not start the run:\n{(done.stdout + done.stderr).strip()[-3000:]}"
            )

    def alive(self) -> bool:
        """Whether the SuperLink still runs.

        Returns
        -------
        bool
        """
        return self.process is not None and self.process.poll() is None

    def log_tail(self) -> str:
        """The end of what Flower wrote.

        Returns
        -------
        str
        """
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    def _environment(self) -> dict[str, str]:
        env = {
            **os.environ,
            "FLWR_HOME": str(self.folder),
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
            "RAY_prestart_worker_first_driver": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "FEDTWIN_HOME": str(self.home.root),
            "FEDTWIN_DATABASE_URL": self.home.database_url,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # imports take three times as long without bytecode
        return env

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


def _wait(store: Store, run_id: int, *, superlink: _SuperLink, on_poll: Callable[[int], None]) -> None:
    claimed_by = time.monotonic() + superlink.cfg.federation.start_timeout_s
    while True:
        run = store.run(run_id)
        on_poll(run_id)
        if run.finished:
            return _check_end(run)
        waiting = run.pid == os.getpid()  # the ServerApp takes the row over when it starts
        if waiting and time.monotonic() > claimed_by:
            raise FederationError(
                f"the ServerApp did not start within federation.start_timeout_s:\n{superlink.log_tail()}"
            )
        if not superlink.alive():
            raise FederationError(f"Flower's SuperLink ended before the run did:\n{superlink.log_tail()}")
        store.close_orphans()  # a ServerApp that was killed leaves its row running
        time.sleep(0.25)


def _check_end(run: RunRow) -> None:
    if run.status != "completed":
        raise FederationError(f"run {run.id} {run.status}: {run.error or run.stop_reason}")


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise FederationError(f"the command {name} is not installed; pip install 'flwr[simulation]'")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_json(text: str) -> dict[str, object]:
    start = text.find("{")
    try:
        answer = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _kill_stragglers(folder: Path) -> None:
    """End what Flower and Ray started for this run and left: they carry its FLWR_HOME in their environment."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("FLWR_HOME") == str(folder):
                process.kill()
