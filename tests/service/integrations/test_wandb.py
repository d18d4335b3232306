"""Files for Weights & Biases are read whole by its own ``wandb sync``, and sent to a stand-in of its server."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.integrations.follower import Follower
from service.integrations.wandb import WandB
from tests.service.integrations.trackers_kit import wandb_records
from tests.service.live_kit import new_run, point

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROJECT = {"id": "p", "name": "fedtwin", "entity": {"id": "e", "name": "me"}}
BUCKET = {"id": "b", "name": "run", "displayName": "run", "historyLineCount": 0, "project": PROJECT}
# By a word of the question: all that `wandb sync` asks for.
ANSWERS = {
    "upsertBucket": {"upsertBucket": {"bucket": BUCKET, "inserted": True}},
    "createRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}},
    "viewer": {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}},
}


class StandIn(ThreadingHTTPServer):
    """Keeps what it is told of runs, and of their files."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upserts: list[dict] = []
        self.streamed: list[dict] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        asked, answer = json.loads(body), {}
        if self.path == "/graphql":
            word = next((one for one in ANSWERS if one in asked["query"]), None)
            answer = {"data": ANSWERS.get(word, {})}
            if word == "upsertBucket":
                self.server.upserts.append(asked["variables"])
        else:
            self.server.streamed.append(asked)
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**kept, "HOME": str(folder), "WANDB_ERROR_REPORTING": "false", **more}


def test_its_own_program_reads_the_files_and_sends_them(store, home, server, tmp_path):
    parent = new_run(store, training_mode="compare", name="both twins")
    run_id = new_run(store, parent_id=parent, name="ward 7", config={"seed": 7, "trainer": {"lr": 0.5}})
    store.metrics.add(run_id, [point(n / 4, round=n) for n in range(1, 1201)])
    store.runs.tag(run_id, add=["paper"])
    store.runs.finish(run_id, "stopped")
    follower = Follower(store, WandB(tmp_path / "runs", project="fedtwin"), home=home, say=print)
    assert follower.catch_up() == []
    (file,) = [path for path in tmp_path.rglob("run-*.wandb") if path.stat().st_size > 2**15]
    url = f"http://127.0.0.1:{server.server_port}"
    env = environment(tmp_path, WANDB_BASE_URL=url, WANDB_API_KEY="a" * 40)
    command = [sys.executable, "-m", "wandb", "sync", str(file.parent)]
    how = {"cwd": tmp_path, "env": env, "timeout": 200}  # it writes its own log where it is started
    done = subprocess.run(command, **how, capture_output=True, text=True, check=False)
    assert (done.returncode, "Finished syncing" in done.stdout + done.stderr) == (0, True), done.stderr
    files = [one.get("files", {}) for one in server.streamed]
    lines = [line for one in files for line in one.get("wandb-history.jsonl", {}).get("content", ())]
    rows = [json.loads(line) for line in lines]
    assert [(row["_step"], row["step"], row["val/accuracy"]) for row in rows] == [
        (n - 1, n, n / 4) for n in range(1, 1201)
    ]
    (ended,) = [one for one in server.streamed if "exitcode" in one]
    assert ended["exitcode"] == 255, "W&B calls it killed"
    told = server.upserts[-1]
    assert (told["displayName"], told["groupName"], told["tags"]) == (
        "ward 7",
        f"{parent} both twins",
        ["paper"],
    )
    config = next(
        json.loads(one["config"]) for one in server.upserts if "trainer.lr" in (one.get("config") or "")
    )
    assert config["trainer.lr"]["value"] == 0.5


def test_a_file_of_the_real_one_has_the_same_format(tmp_path):
    script = (
        "import wandb\n"
        "with wandb.init(project='p', id='abc', group='g', config={'trainer.lr': 0.5}) as run:\n"
        "    run.log({'val/accuracy': 0.5, 'step': 4, 'long': 'x' * 70_000})\n"
    )
    env = environment(tmp_path, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off")
    subprocess.run([sys.executable, "-c", script], env=env, cwd=tmp_path, check=True, timeout=200)
    (file,) = tmp_path.glob("wandb/offline-run-*-abc/run-abc.wandb")
    records = list(wandb_records(file))
    (run,) = [one.run for one in records if one.HasField("run")]
    assert (run.run_id, run.project, run.run_group) == ("abc", "p", "g")
    (row,) = [one.history for one in records if one.HasField("history")]
    values = {item.nested_key[0]: json.loads(item.value_json) for item in row.item}
    assert (values["val/accuracy"], values["step"], values["_step"], row.step.num) == (0.5, 4, 0, 0)
    assert records[-1].HasField("exit")
