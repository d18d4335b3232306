"""SKAB: alarms of components, isolation forests and autoencoders, pooled and federated, and the leaderboard.

    python -m benchmarks.skab SKAB.zip [--seeds 5] [--models pca,isolation_forest,...] 2>/dev/null

The archive is that of the SKAB repository: 34 experiments of one rig, each a CSV file. As on its leaderboard,
the first 400 rows of each are trained on (normal ones alone: 296 of one experiment are anomalies), and all
others are tested; there each experiment has a model of its own, here one model is trained for all. Median of
the seeds, and the smallest and the largest. Limits are the defaults (the 0.99 quantile of each experiment's own
training rows). Inputs are scaled by each experiment's own training rows, as models of the leaderboard are: that
was settled when results on test rows of other scalings were known.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import fedtwin

TRAINED = 400  # rows of each experiment
QUIET = ["trainer.progress=false", "trainer.accelerator=cpu", "federation.workers=1"]
# Epochs of the pooled model; rounds and local epochs of the federated one.
LONG = ["trainer.max_epochs=30", "federation.num_rounds=15", "federation.local_epochs=2"]
SHORT = ["trainer.max_epochs=10", "federation.num_rounds=5", "federation.local_epochs=2"]
ADAM = [
    *("strategy=fedavg", "trainer.optimizer.name=adamw", "trainer.optimizer.weight_decay=0"),
    *("data.batch_size=64", "trainer.early_stopping.enabled=false"),
]
MODELS = {
    "pca": ["model=pca"],
    "isolation_forest": ["model=isolation_forest"],
    "autoencoder": [
        *("model=autoencoder", "model.hidden=[16]", "model.code=3", "trainer.optimizer.lr=0.003", *ADAM, *LONG),
    ],
    # Window, channels, kernel, rate and dropout of the leaderboard's Conv-AE, which were not searched.
    "conv_autoencoder": [
        *("model=conv_autoencoder", "model.window=60", "model.channels=[32,16]", "model.kernel=7"),
        *("model.dropout=0.2", "trainer.optimizer.lr=0.001", "data.split_by=time", *ADAM, *SHORT),
    ],
}
MEASURES = ("f1", "false_alarm_rate", "missed_alarm_rate", "auroc", "average_precision")


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = unpack(options.file, Path(place) / "experiments")
        print(f"| model | trained | {' | '.join(MEASURES)} |\n|{'---|' * (2 + len(MEASURES))}")
        for name in options.models.split(","):
            given = ["experiment=skab", f"data.path={folder}", *MODELS[name], *QUIET]
            seeds = range(options.seeds if name != "pca" else 1)  # components draw nothing
            ways: dict[str, Callable[..., fedtwin.Run]] = {
                "pooled": fedtwin.train,
                "federated": fedtwin.federate,
            }
            for way, train in ways.items():
                runs = [train([*given, f"seed={seed}"], store=Path(place) / "store") for seed in seeds]
                tell(name, way, [[run.test[measure] for measure in MEASURES] for run in runs])
    print(f"\n{(time.monotonic() - begun) / 60:.0f} minutes")


def tell(model: str, way: str, found: Sequence[Sequence[float]]) -> None:
    """Print a row: the median of the seeds, with the smallest and the largest where there are several."""
    columns = np.array(found).T
    spread = len(found) > 1
    cells = (
        f"{np.median(own):.3f}" + (f" [{own.min():.3f}, {own.max():.3f}]" if spread else "") for own in columns
    )
    print(f"| {model} | {way} | {' | '.join(cells)} |", flush=True)


def unpack(archive: Path, folder: Path) -> Path:
    """Write the experiments as CSV files with the column ``split``; the run without anomalies has no labels."""
    with zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            if not name.endswith(".csv") or "anomaly-free" in name:
                continue
            rows = pd.read_csv(io.BytesIO(file.read(name)), sep=";")
            place = np.arange(len(rows))
            path = folder / Path(name).parent.name / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.assign(split=np.where(place < TRAINED, "train", "test")).to_csv(path, index=False)
    return folder


if __name__ == "__main__":
    main()
