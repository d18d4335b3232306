"""Trackers for tests, each with a way to read back what it was sent, to lose it and to have it again."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from service.integrations.tracker import Tracker
from tests.environments import new_environment
from tests.service.live_kit import free_port

START_S = 180.0
INSTALL = ("mlflow>=3.17,<3.18",)


class EventFiles:
    """TensorBoard's folder, read by TensorBoard's own code."""

    nests_by = "folder"

    def __init__(self, folder: Path) -> None:
        from service.integrations.tensorboard import TensorBoard

        self.folder = folder / "board"
        self.tracker: Tracker = TensorBoard(self.folder)

    def place(self, run_id: int) -> Path:
        (found,) = self.folder.rglob(f"{run_id}-*")
        return found

    def values(self, run_id: int) -> list[tuple[str, int, float]]:
        """Of all scalars in the order in which they stand in the file; with it what is read twice is seen."""
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        (file,) = self.place(run_id).glob("events.*")
        return [
            (value.tag, event.step, value.simple_value)
            for event in LegacyEventFileLoader(str(file)).Load()
            for value in event.summary.value
            if value.HasField("simple_value")
        ]

    def is_below(self, run_id: int, parent: int) -> bool:
        return self.place(run_id).parent == self.place(parent)

    def settings(self, run_id: int) -> dict[str, object]:
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
        from tensorboard.plugins.hparams import plugin_data_pb2

        (file,) = self.place(run_id).glob("events.*")
        for event in LegacyEventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag == "_hparams_/session_start_info":
                    data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    hparams = data.session_start_info.hparams
                    return {k: getattr(v, v.WhichOneof("kind")) for k, v in hparams.items()}
        raise AssertionError("no settings")

    @contextmanager
    def lost(self) -> Iterator[None]:
        with lost_folder(self.folder):
            yield


@contextmanager
def lost_folder(folder: Path) -> Iterator[None]:
    """A file lies where a folder was."""
    away = folder.with_name("away")
    if folder.exists():
        folder.rename(away)
    folder.write_text("")
    yield
    folder.unlink()
    if away.exists():
        away.rename(folder)


class WandBFiles:
    """The folder of an offline mode, read by its format: a log of LevelDB's kind, of W&B's own messages."""

    nests_by = "run_group"

    def __init__(self, folder: Path) -> None:
        from service.integrations.wandb import WandB

        self.folder = folder / "runs"
        self.tracker: Tracker = WandB(self.folder, project="fedtwin")

    def records(self, run_id: int) -> list:
        """Of the file whose first record has the run's number among its settings."""
        for path in self.folder.glob("wandb/offline-run-*/run-*.wandb"):
            found = list(wandb_records(path))
            if any(
                item.key == "fedtwin.run" and item.value_json == str(run_id) for item in found[1].config.update
            ):
                return found
        raise AssertionError(f"no run {run_id}")

    def values(self, run_id: int) -> list[tuple[str, int, float]]:
        """Rows by their step, which W&B counts too, and at 0 what is told at the end."""
        found = []
        for number, record in enumerate(one for one in self.records(run_id) if one.HasField("history")):
            values = {item.key: json.loads(item.value_json) for item in record.history.item}
            assert values.pop("_step") == record.history.step.num == number
            step, _ = values.pop("step"), values.pop("_timestamp")
            found += [(key, step, value) for key, value in values.items()]
        told = [
            {item.key: json.loads(item.value_json) for item in one.summary.update}
            for one in self.records(run_id)
        ]
        results = next((one for one in told if "status" in one), {})
        return found + [(key, 0, value) for key, value in results.items() if key not in ("status", "error")]

    def is_below(self, run_id: int, parent: int) -> bool:
        one, other = (self.records(number)[0].run for number in (run_id, parent))
        return one.run_group == other.run_group != "" and other.job_type in ("comparison", "sweep")

    def settings(self, run_id: int) -> dict[str, object]:
        return {item.key: json.loads(item.value_json) for item in self.records(run_id)[1].config.update}

    @contextmanager
    def lost(self) -> Iterator[None]:
        with lost_folder(self.folder):
            yield


def wandb_records(path: Path) -> Iterator:
    """The records of a file of W&B's offline mode."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, head, block = path.read_bytes(), struct.Struct("<IHB"), 32768
    assert content[:7] == struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
    at, whole = 7, b""
    while at < len(content):
        if (room := block - at % block) < head.size:
            assert not any(content[at : at + room])
            at += room
            continue
        checksum, length, kind = head.unpack_from(content, at)
        assert length + head.size <= room
        piece = content[at + head.size : at + head.size + length]
        assert checksum == zlib.crc32(piece, zlib.crc32(bytes([kind])))
        assert bool(whole) == (kind in (3, 4)), "a first piece, and those that follow it"
        at, whole = at + head.size + length, whole + piece
        if kind in (1, 4):
            yield Record.FromString(whole)
            whole = b""
    assert not whole


class MLflowServer:
    """A real server, from an environment of its own."""

    nests_by = "mlflow.parentRunId"

    def __init__(self, folder: Path, program: Path) -> None:
        from service.integrations.mlflow import MLflow

        self.port, self._folder, self._program = free_port(), folder, program
        self.uri = f"http://127.0.0.1:{free_port()}"
        self._process = self._start()
        self._listener = self._forward()
        self.tracker: Tracker = MLflow(self.uri, experiment="fedtwin")

    @property
    def client(self):
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _start(self) -> subprocess.Popen[bytes]:
        data = self._folder / "mlflow"
        data.mkdir(exist_ok=True)
        command = [self._program, "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{data / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(data / "artifacts")]
        own = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        with (data / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command, env={**kept, **own}, stdout=log, stderr=log, start_new_session=True, cwd=data
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return process
            except OSError:
                assert process.poll() is None, (data / "log.txt").read_text()
                assert time.monotonic() < deadline, (data / "log.txt").read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        self._listener.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _forward(self) -> ThreadingTCPServer:
        """What the tracker connects to: it can be lost and found in a moment, which the server cannot."""
        target = ("127.0.0.1", self.port)

        class Forward(BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(target) as server:
                    back = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
                    back.start()
                    _copy(self.request, server)
                    back.join()

        return _Listener(int(self.uri.rpartition(":")[2]), Forward)

    def run(self, run_id: int):
        (experiment,) = self.client.search_experiments(filter_string="name = 'fedtwin'")
        (found,) = self.client.search_runs([experiment.experiment_id], f"tags.`fedtwin.run` = '{run_id}'")
        return found

    def values(self, run_id: int) -> list[tuple[str, int, float]]:
        run = self.run(run_id)
        return [
            (one.key, one.step, one.value)
            for key in run.data.metrics
            for one in self.client.get_metric_history(run.info.run_id, key)
        ]

    def is_below(self, run_id: int, parent: int) -> bool:
        return self.run(run_id).data.tags["mlflow.parentRunId"] == self.run(parent).info.run_id

    def settings(self, run_id: int) -> dict[str, object]:
        return dict(self.run(run_id).data.params)

    @contextmanager
    def lost(self) -> Iterator[None]:
        self._listener.close()
        yield
        self._listener = self._forward()


class _Listener(ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True

    def __init__(self, port: int, handler: type[BaseRequestHandler]) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def process_request(self, request, client_address) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        for one in self._connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.server_close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            sink.sendall(content)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="session")
def mlflow_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mlflow`` in an environment of its own, made once; skipped where packages cannot be installed."""
    folder = tmp_path_factory.mktemp("mlflow-environment")
    return new_environment(folder / "env", *INSTALL, what="MLflow").with_name("mlflow")


@pytest.fixture(
    params=["tensorboard", "wandb", pytest.param("mlflow", marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
    scope="session",
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Each tracker."""
    folder = tmp_path_factory.mktemp("tracker")
    if request.param != "mlflow":
        yield EventFiles(folder) if request.param == "tensorboard" else WandBFiles(folder)
        return
    server = MLflowServer(folder, request.getfixturevalue("mlflow_program"))
    try:
        yield server
    finally:
        server.stop()
