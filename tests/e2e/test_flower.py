"""A real SuperLink, `flwr run` and Ray: the commands end as they say, with the weights of the local grid."""

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
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from shared.config.stored import read_snapshot
from shared.tracking.store import Store
from tests.e2e.round_kit import wait_for_round
from tests.e2e.same_run_kit import last_weights, serve_here

Command = Callable[..., subprocess.CompletedProcess[str]]
REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = ["federation.num_rounds=2", "federation.local_epochs=1", "federation.num_clients=3"]
ONE_ACTOR = "federation.workers=1"  # of Ray's, each of which imports torch for seconds


def _flower_processes(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLWR_HOME", "").startswith(str(home)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_federated_run_completes_and_equals_the_local_grid(
    fedtwin: Command, home: Path, tmp_path: Path
) -> None:
    done = fedtwin("federated", *SMALL)
    assert done.returncode == 0, done.stderr
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        run = store.runs.search(mode="federated")[0]
        assert run.status == "completed"
        assert [row.round for row in store.evaluations.of_run(run.id)] == [0, 1, 2]
        assert len(store.clients.of_run(run.id)) == 3
    assert (home / "results" / f"metrics_{run.id}.json").is_file()
    assert (home / "results" / f"metrics_{run.id}.csv").is_file()
    assert not _flower_processes(home), "everything that was started is ended"
    assert last_weights(home / "runs" / str(run.id)) == serve_here(read_snapshot(run.config), tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def ray_cluster() -> Iterator[tuple[str, Path]]:
    """Address and folder of a Ray cluster of one machine."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
    port = free_port()
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--num-cpus=1"]
    command += [f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}"]
    command += ["--include-dashboard=false", "--disable-usage-stats"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as cluster:
        try:
            deadline = time.monotonic() + 60
            while not (folder / "ray_current_cluster").exists():
                assert cluster.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield f"127.0.0.1:{port}", folder
        finally:
            for process in psutil.Process(cluster.pid).children(recursive=True):
                with suppress(psutil.Error):
                    process.kill()
            cluster.kill()
            shutil.rmtree(folder, ignore_errors=True)


def test_a_ray_cluster_that_runs_already_does_the_work(
    fedtwin: Command, home: Path, ray_cluster: tuple[str, Path]
) -> None:
    address, folder = ray_cluster
    done = fedtwin("federated", *SMALL, f"federation.ray_address={address}")
    assert done.returncode == 0, done.stderr
    actors = [
        log
        for log in folder.glob("session_2*/logs/worker-*")
        if "ClientAppActor" in log.read_text("utf8", "replace")
    ]
    assert actors


def test_flwr_run_reaches_every_setting_from_a_clean_checkout(
    environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    names = ("FLWR_LOCAL_SUPERLINK_HTTP_API_PORT", "FLWR_LOCAL_CONTROL_API_PORT")
    ports = {name: str(free_port()) for name in names}
    env = {
        **environment,
        **ports,
        "FLWR_HOME": str(home / "flower"),
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
    }
    overrides = "overrides=\"partition=iid federation.num_rounds=1 trainer.optimizer.lr=0.02 name='by hand'\""
    flwr = str(Path(sys.executable).parent / "flwr")
    command = [flwr, "run", str(REPOSITORY), "--stream", "--run-config", overrides]
    try:
        for _ in range(3):
            done = subprocess.run(
                command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
            )
            # Flower gives its SuperLink 15 s to start, which a busy machine exceeds; it starts all the same.
            if "Failed to start local SuperLink within" not in done.stdout + done.stderr:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
            run = store.runs.search()[0]
        assert (run.status, run.config["partition"]["name"]) == ("completed", "iid"), run.error
        assert run.config["trainer"]["optimizer"]["lr"] == 0.02
        assert run.config["federation"]["num_clients"] == 2, "Flower's own number of nodes"
        assert f"run {run.id}  home {home}  database sqlite:///{home}/fedtwin.db" in done.stdout
    finally:
        for process in _flower_processes(home):
            process.kill()


def test_a_failing_federation_exits_non_zero_and_says_why(fedtwin: Command, home: Path) -> None:
    done = fedtwin("federated", *SMALL, ONE_ACTOR, "partition.min_examples=5000")
    assert done.returncode == 2
    assert "partition.min_examples=5000 need 15000 training rows" in " ".join(done.stderr.split())
    assert "min_examples" in done.stderr
    assert "Traceback" not in done.stderr
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        run = store.runs.search()[0]
    assert run.status == "failed"
    assert "min_examples" in (run.error or "")
    assert not _flower_processes(home)


@pytest.mark.attack
def test_a_killed_server_app_is_found_and_the_run_resumes_to_the_weights_of_the_simulation(
    fedtwin: Command, environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "fedtwin", "federated", "federation.num_rounds=6", *SMALL[1:], ONE_ACTOR]
    child = subprocess.Popen(
        command,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    database = home / "fedtwin.db"
    try:
        pid = wait_for_round(database, 2, child=child).pid
        os.kill(pid, signal.SIGKILL)
        _, errors = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 2
    assert "gone" in errors or "failed" in errors
    with Store(f"sqlite:///{database}") as store:
        run = store.runs.search()[0]
        assert run.status == "failed"
        done_rounds = [row.round for row in store.rounds.of_run(run.id)]
    assert 2 <= max(done_rounds) < 6

    resumed = fedtwin("resume", str(run.id))
    assert resumed.returncode == 0, resumed.stderr
    with Store(f"sqlite:///{database}") as store:
        assert store.runs.get(run.id).status == "completed"
        assert [row.round for row in store.rounds.of_run(run.id)] == [1, 2, 3, 4, 5, 6]
    assert last_weights(home / "runs" / str(run.id)) == serve_here(read_snapshot(run.config), tmp_path)


def test_sigterm_stops_the_federation_as_ctrl_c_does(
    environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "fedtwin", "federated", "federation.num_rounds=500", *SMALL[1:], ONE_ACTOR]
    child = subprocess.Popen(
        command,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_round(home / "fedtwin.db", 1, child=child)
        child.terminate()
        child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 130
    assert not _flower_processes(home)
    assert not list(home.glob("flower-*"))
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        assert store.runs.search()[0].status == "stopped"


def test_json_of_a_run_is_readable_by_a_program(fedtwin: Command) -> None:
    assert fedtwin("centralized", "trainer.max_epochs=1").returncode == 0
    shown = fedtwin("show", "1", "--format", "json")
    assert json.loads(shown.stdout)["run"]["status"] == "completed"
