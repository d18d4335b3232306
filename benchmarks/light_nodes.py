"""`LightFederation`: a real SuperLink and ServerApp, with sites that are threads speaking Flower's protocol.

A SuperNode and its ClientApp are processes of some hundred MB each; thirty do not fit a small machine. A light
node registers, sends heartbeats, pulls its messages and pushes its replies with Flower's own client code, over
HTTP, and answers from a function.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import TracebackType

import psutil
from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree, push_objects
from flwr.supernode.fleet_http_connection import http_request_response

from federated.kit.flower_cli import environment, tool
from federated.launch.flwr_run import flwr_run
from shared.runtime.home import Home
from simulations.engine.nodes import set_task_identity

Answer = Callable[[Message], Message]
_AT_A_TIME = 4  # nodes that answer, so that thirty models of 100 MB fit a small machine; slow ones do not count
_POLL_S = 3.0  # as a SuperNode: thirty that ask more often keep the SuperLink busy


class LightFederation:
    """A SuperLink on this machine, ended with the block, and the light nodes that are connected to it.

    Parameters
    ----------
    home : Home
        Of the runs; the SuperLink's own files lie in its folder ``superlink``.
    """

    def __init__(self, home: Home) -> None:
        self.folder = home.root / "superlink"
        self.home, self.port = home, free_port()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._turns = threading.Semaphore(_AT_A_TIME)
        self.env = environment(
            {
                "FLWR_HOME": str(self.folder),
                "FEDTWIN_HOME": str(home.root),
                "FEDTWIN_DATABASE_URL": home.database_url,
                "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            }
        )

    def __enter__(self) -> LightFederation:
        set_task_identity()
        self.folder.mkdir(parents=True)
        (self.folder / "config.toml").write_text(
            '[superlink]\ndefault = "fedtwin"\n\n'
            f'[superlink.fedtwin]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        command = [tool("flower-superlink"), "--insecure", "--isolation", "subprocess"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--control-api-address", f"127.0.0.1:{free_port()}"]
        command += ["--disable-runtime-dependency-installation"]
        with (self.folder / "superlink.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).close()
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError((self.folder / "superlink.log").read_text()[-2000:])
            time.sleep(0.2)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for process in psutil.process_iter():  # what Flower started in sessions of their own
            with suppress(psutil.Error, OSError):
                if process.environ().get("FLWR_HOME") == str(self.folder):
                    process.kill()

    def add_node(self, answer: Answer, *, port: int | None = None) -> None:
        """Connect a node that answers each message by a function, perhaps through another port."""
        address, turns = f"127.0.0.1:{port or self.port}", self._turns if port is None else nullcontext()
        thread = threading.Thread(target=self._serve, args=(address, answer, turns), daemon=True)
        thread.start()
        self._threads.append(thread)

    def run(self, run_id: int) -> None:
        """Hand a prepared run to the SuperLink."""
        flwr_run(run_id=run_id, home=self.home.root, resume=False, env=self.env, cwd=self.folder, timeout=300)

    def _serve(self, address: str, answer: Answer, turns: AbstractContextManager[object]) -> None:
        with http_request_response(address, insecure=True) as (
            _,
            receive,
            send,
            _,
            _,
            pull_object,
            push_object,
            confirm,
        ):

            def handle(header: Message, tree: ObjectTree) -> None:
                run_id = header.metadata.run_id
                message = pull_and_inflate_object_from_tree(
                    tree, partial(pull_object, run_id), partial(confirm, run_id), return_type=Message
                )
                message.metadata.__dict__["_message_id"] = header.metadata.message_id
                reply = answer(message)
                reply.metadata.__dict__["_message_id"] = reply.object_id
                missing, session = send(reply, get_object_tree(reply), 0.0)
                push_objects(
                    get_all_nested_objects(reply),
                    partial(push_object, run_id, session),
                    object_ids_to_push=missing,
                )

            while not self._stop.is_set():
                if (received := receive()) is None:
                    self._stop.wait(_POLL_S)
                    continue
                with turns:
                    handle(*received)


def slow_port(to: int, *, bytes_per_s: float, stop: threading.Event) -> int:
    """A port whose connections go on to another one, sending there no faster than so much in all."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, to, bytes_per_s, stop), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _accept(listener: socket.socket, to: int, bytes_per_s: float, stop: threading.Event) -> None:
    lock = threading.Lock()

    def paced(sent: int) -> None:
        with lock:
            time.sleep(sent / bytes_per_s)

    while not stop.is_set():
        here, _ = listener.accept()
        try:
            there = socket.create_connection(("127.0.0.1", to))
        except OSError:  # the federation has ended
            here.close()
            return
        size = max(1024, int(bytes_per_s / 50))
        threading.Thread(target=_copy, args=(here, there, size, paced), daemon=True).start()
        threading.Thread(target=_copy, args=(there, here, 2**16, lambda sent: None), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, size: int, sent: Callable[[int], None]) -> None:
    with suppress(OSError):
        while data := source.recv(size):
            target.sendall(data)
            sent(len(data))
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
