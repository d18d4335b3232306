"""How fast histogram trees grow: pooled, federated in one process, and scikit-learn's on the same pooled rows.

    python -m benchmarks.trees [--rows 1000000] [--inputs 20] [--trees 100] [--depth 6] [--clients 4]
                               [--threads 1] [--runs 1]
    python -m benchmarks.trees --write table.parquet    # the same rows, for `fedtwin`

The table is generated: a logistic model with a product and a step, whose inputs are normal, lognormal, of few
values, and with gaps. Each system trains in a process of its own, one after the other. Memory is that at the
peak of training beyond what the process had before the table was made, in copies of the table (float64).
`--threads` are scikit-learn's; ours has one. Figures and machine: docs/performance.md. It needs Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.trees.bins import Feature
from shared.trees.client import ClientTrees
from shared.trees.format import dumps
from shared.trees.objectives import Logistic
from shared.trees.settings import TreeSettings
from shared.trees.training import train_trees

SYSTEMS = ("pooled", "federated", "scikit-learn")
HELD_OUT = 100_000
CHUNK = 50_000


def table(rows: int, inputs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs [rows, inputs] and targets [rows], made in chunks so that the peak is that of training."""
    values, targets = np.empty((rows, inputs)), np.empty(rows)
    draw = np.random.default_rng(0)
    effect = draw.standard_normal(inputs) / 2
    for start in range(0, rows, CHUNK):
        part = values[start : start + CHUNK]
        draw.standard_normal(out=part)
        signal = part @ effect + 2 * part[:, 0] * (part[:, 1] > 0) + np.where(part[:, 2] > 0.5, 1.0, -0.3)
        targets[start : start + CHUNK] = signal + draw.logistic(size=len(part)) > 0
        part[:, 3] = np.exp(3 * part[:, 3])
        part[:, 4] = np.round(2 * part[:, 4])
        part[:, 5][draw.random(len(part)) < 0.2] = np.nan
    return values, targets


def memory(field: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def one(system: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train one system in this process, and measure."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    before = memory("VmRSS")
    values, targets = table(args.rows + HELD_OUT, args.inputs)
    inputs, labels = values[HELD_OUT:], targets[HELD_OUT:]
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    wall, cpu = time.perf_counter(), time.process_time()
    if system == "scikit-learn":
        theirs = HistGradientBoostingClassifier(
            max_iter=args.trees, max_depth=args.depth, max_leaf_nodes=None, l2_regularization=1.0,
            early_stopping=False,
        ).fit(inputs, labels)  # fmt: skip
    else:
        parts = args.clients if system == "federated" else 1
        features = [Feature(f"input {place}") for place in range(args.inputs)]
        divided = zip(np.array_split(inputs, parts), np.array_split(labels, parts), strict=True)
        clients = {
            f"client {number}": ClientTrees(*own, features=features, objective=Logistic())
            for number, own in enumerate(divided)
        }
        chosen = TreeSettings(rounds=args.trees, max_depth=args.depth)
        ours = train_trees(clients, features=features, objective=Logistic(), settings=chosen).ensemble
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    copies = (memory("VmHWM") - before) / inputs.nbytes
    model = "" if system == "scikit-learn" else hashlib.sha256(dumps(ours)).hexdigest()
    held_out = values[:HELD_OUT]
    start = time.perf_counter()
    scores = theirs.predict_proba(held_out) if system == "scikit-learn" else ours.predict(held_out)
    auc = float(roc_auc_score(targets[:HELD_OUT], scores[:, 1]))
    return {**took, "copies": copies, "predict": time.perf_counter() - start, "auc": auc, "model": model}


def write(path: Path, args: argparse.Namespace) -> None:
    """The training rows as a file, for the commands."""
    import pandas as pd

    values, targets = table(args.rows + HELD_OUT, args.inputs)
    frame = pd.DataFrame(values[HELD_OUT:], columns=[f"input_{place}" for place in range(args.inputs)])
    frame.assign(target=np.where(targets[HELD_OUT:] > 0, "yes", "no")).to_parquet(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--inputs", type=int, default=20)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--one", choices=SYSTEMS, help="train this in this process, and print JSON")
    parser.add_argument("--write", type=Path, metavar="PARQUET", help="write the table, and train nothing")
    args = parser.parse_args()
    if args.write:
        write(args.write, args)
        return
    if args.one:
        print(json.dumps(one(args.one, args)))
        return
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    results: dict[str, list[dict[str, Any]]] = {system: [] for system in args.systems.split(",")}
    for _ in range(args.runs):
        for system, runs in results.items():
            command = [sys.executable, "-m", "benchmarks.trees", *sys.argv[1:], "--one", system]
            ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            runs.append(json.loads(ended.stdout))
    print("| system | wall s | CPU s | predict s | peak, copies of the table | AUC |")
    print("|---|---|---|---|---|---|")
    for system, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "model"}
        print(
            f"| {system} | {middle['wall']:.1f} | {middle['cpu']:.1f} | {middle['predict']:.2f} | "
            f"{middle['copies']:.2f} | {middle['auc']:.4f} |"
        )
    models = {run["model"] for system, runs in results.items() if system != "scikit-learn" for run in runs}
    if len(models) > 1:
        sys.exit("the federated model is not the pooled one")


if __name__ == "__main__":
    main()
