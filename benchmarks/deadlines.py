"""How well a round keeps its deadline: a SuperLink and ServerApp as deployed, some sites on slow links.

    python -m benchmarks.deadlines [--sites 3,30] [--megabytes 1,100] [--deadline 30] [--rounds 2]
                                   [--slow 1] [--rate 10]

The sites are light nodes: threads that speak Flower's protocol (`benchmarks.light_nodes`). Slow sites are the
first in the order of aggregation, the worst case: all others wait for them, and are summed after the deadline.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import numpy as np
from flwr.app import ArrayRecord, Message, MessageType, RecordDict

from benchmarks.light_nodes import Answer, LightFederation, slow_port
from federated.launch.launch import prepare_run
from federated.messages.records import ARRAYS, CLIENT, ClientInfo, array_of, reply_content, values_of
from shared.config.compose import compose
from shared.data.profile import Profile
from shared.data.schema import Schema
from shared.runtime.home import Home
from shared.tracking.store import Store

EXAMPLES = 100
_FEATURES = 8 * 2 * 2  # of the small CNN with widths 8 and 8 on images of 8 x 8
CLASSES = tuple(str(number) for number in range(10))


def hidden(megabytes: float) -> int:
    """The hidden width with which the model has about this size."""
    return round(megabytes * 1e6 / 4 / (_FEATURES + 1 + len(CLASSES)))


def site(number: int, total: int) -> Answer:
    """A site that moves every value a little, and evaluates nothing."""

    def answer(message: Message) -> Message:
        if message.metadata.message_type == MessageType.QUERY:
            info = ClientInfo(
                client_id=number,
                num_partitions=total,
                name=f"site {number}",
                schema=Schema(classes=CLASSES),
                num_examples=EXAMPLES,
                profile=Profile(counts={"label": {name: EXAMPLES // len(CLASSES) for name in CLASSES}}),
                num_val=0,
            )
            return Message(RecordDict({CLIENT: info.to_record()}), reply_to=message)
        step = np.float32(1e-4 * (1 + number / total))  # no two alike, which Flower would send once
        arrays = {
            key: array_of(np.asarray(values_of(array) + step, dtype=array.dtype))
            for key, array in message.content.array_records[ARRAYS].items()
        }
        content = reply_content(points=[], num_examples=EXAMPLES, arrays=ArrayRecord(arrays))
        return Message(content, reply_to=message)

    return answer


def measure(
    sites: int, megabytes: float, *, deadline: float, rounds: int, slow: int, bytes_per_s: float
) -> str:
    """One federation, as rows of the table."""
    cfg = compose(
        [
            "model.widths=[8,8]",
            f"model.hidden={hidden(megabytes)}",
            "federation.engine=flower",
            f"federation.num_clients={sites}",
            f"federation.num_rounds={rounds}",
            f"federation.round_timeout_s={deadline}",
            "federation.connect_timeout_s=600",
            "strategy.fraction_evaluate=0",
            "trainer.test_model=last",
            "trainer.accelerator=cpu",
        ]
    )
    with tempfile.TemporaryDirectory(prefix="fedtwin-deadlines-") as folder:
        home = Home(root=Path(folder), database_url=f"sqlite:///{folder}/fedtwin.db")
        stop = threading.Event()
        with Store(home.database_url) as store, LightFederation(home) as federation:
            run_id = prepare_run(cfg, store=store)
            for number in range(sites):
                link = slow_port(federation.port, bytes_per_s=bytes_per_s, stop=stop) if number < slow else None
                federation.add_node(site(number, sites), port=link)
            federation.run(run_id)
            while not store.runs.get(run_id).finished:
                if federation.process.poll() is not None:
                    raise RuntimeError("the SuperLink ended")
                time.sleep(0.5)
            run = store.runs.get(run_id)
            if run.status != "completed":
                raise RuntimeError(run.error)
            replies = {
                (row.round, row.client_id): row.value
                for row in store.metrics.of_run(run_id)
                if row.name == "reply_seconds"
            }
            lines = []
            for row in store.rounds.of_run(run_id):
                last = max(value for (number, _), value in replies.items() if number == row.round)
                numbers = [f"{value:.1f}" for value in (last, row.seconds, row.seconds - deadline)]
                cells = [sites, f"{megabytes:g}", row.round, f"{deadline:g}", len(row.replied), *numbers]
                lines.append(f"| {' | '.join(map(str, cells))} |")
        stop.set()
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", default="3,30")
    parser.add_argument("--megabytes", default="1,100")
    parser.add_argument("--deadline", type=float, default=30.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--slow", type=int, default=1, help="sites whose uploads are slow")
    parser.add_argument("--rate", type=float, default=10.0, help="of each of their uploads, in kB/s")
    arguments = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    print("| sites | MB | round | deadline, s | replied | last reply, s | round, s | past the deadline, s |")
    print("|---|---|---|---|---|---|---|---|")
    for megabytes in map(float, arguments.megabytes.split(",")):
        for sites in map(int, arguments.sites.split(",")):
            rows = measure(
                sites,
                megabytes,
                deadline=arguments.deadline,
                rounds=arguments.rounds,
                slow=arguments.slow,
                bytes_per_s=1000 * arguments.rate,
            )
            print(rows, flush=True)
    os._exit(0)  # Flower's threads that still push to a SuperLink that has ended would try for ever


if __name__ == "__main__":
    sys.exit(main())
