"""Clusters of sensor windows around failures, federated by experiment beside scikit-learn's on the pooled ones.

``python -m benchmarks.sensor_clusters SKAB.zip``: of each experiment's anomaly, every whole minute becomes a
row, with mean, standard deviation, minimum and maximum of each of eight sensors. Experiments are clients; they
are of one rig.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, silhouette_score

from benchmarks.clusters import Clients, Floats, compared, empty
from shared.clusters.distances import squared_distances
from shared.clusters.server import Lloyd
from shared.config.compose import compose
from shared.tasks.base import FitContext
from shared.tasks.clustering.panels import effect_sizes
from shared.tasks.task import learner_of

SEEDS, CLUSTERS, WINDOW = range(1, 6), (2, 3, 4, 5), 60  # seconds: SKAB has a row each second
PROFILED, MOST_INPUTS = 3, 4


def main(path: str) -> None:
    """Print how far centroids are from scikit-learn's, silhouettes, agreement, and three profiles."""
    rows, names, experiments, kinds = windows(path)
    print(f"{len(rows)} windows of {len({*experiments.tolist()})} experiments, {rows.shape[1]} numbers each")
    parts = [rows[experiments == name] for name in np.unique(experiments)]
    for clusters in CLUSTERS:
        found = [compared(parts, clusters=clusters, seed=seed) for seed in SEEDS]
        nearest = [assigned(parts, rows, clusters=clusters, seed=seed) for seed in SEEDS]
        silhouettes = [silhouette_score(rows, own) for own in nearest]
        agreements = [adjusted_rand_score(kinds, own) for own in nearest]
        print(
            f"{clusters} clusters: largest difference {max(own for own, _ in found):.1e}, silhouette "
            f"{spread(silhouettes)}, adjusted Rand index with the kind of experiment {spread(agreements)}"
        )
    nearest_of = assigned(parts, rows, clusters=PROFILED, seed=SEEDS[0])
    for place in range(PROFILED):
        inside = nearest_of == place
        counts = ", ".join(f"{name} {int((kinds[inside] == name).sum())}" for name in np.unique(kinds))
        effects = effect_sizes(rows, inside)
        most = sorted(range(len(names)), key=lambda own: -abs(np.nan_to_num(effects[own])))[:MOST_INPUTS]
        told = ", ".join(f"{names[own]} {effects[own]:+.1f}" for own in most)
        print(f"cluster {place}: {int(inside.sum())} windows ({counts}); {told}")


def spread(values: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"{np.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def assigned(parts: list[Floats], rows: Floats, *, clusters: int, seed: int) -> Any:
    """The cluster of each window, by centroids that experiments move together."""
    clients, server = Clients(parts), Lloyd(seed=seed)
    before = empty(clusters, rows.shape[1])
    while (after := server.iterate(before, clients.ask)) is not before:
        before = after
    return squared_distances(rows, after.places).argmin(axis=1)


def windows(path: str) -> tuple[Floats, list[str], Any, Any]:
    """Windows as distances take them, names of their numbers, their experiments, and the kinds of these."""
    parts = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".csv") or "anomaly-free" in name:
                continue
            rows = pd.read_csv(io.BytesIO(archive.read(name)), sep=";")
            anomalies = rows[rows["anomaly"] == 1].drop(columns=["datetime", "anomaly", "changepoint"])
            number = np.arange(len(anomalies)) // WINDOW
            whole = anomalies[number < len(anomalies) // WINDOW]
            features = whole.groupby(number[: len(whole)]).agg(["mean", "std", "min", "max"])
            features.columns = [f"{sensor} {what}" for sensor, what in features.columns]
            kind, file = Path(name).parts[-2:]
            parts.append(features.assign(kind=kind, site=f"{kind}/{Path(file).stem}"))
    with TemporaryDirectory() as folder:
        table = Path(folder) / "windows.csv"
        pd.concat(parts).assign(split="train").to_csv(table, index=False)
        cfg = compose(["task=clustering", f"data.path={table}", "data.target=kind", "data.val_fraction=0.005"])
        learner = learner_of(cfg)
        data = learner.dataset(cache=Path(folder), sides=("train",))
    spec, train = learner.spec(data.schema), data.indices("train")
    agreed = spec.agree({"all": spec.profile(data, train)}, trainer=cfg.trainer)
    datamodule: Any = learner.datamodule(data, None, FitContext(agreed=agreed))
    names = [column.name for column in data.schema.inputs]
    kinds = np.array(data.schema.targets[0].levels)[data.targets[train].astype(int)]
    return datamodule.prepared("train"), names, data.columns["site"][train], kinds


if __name__ == "__main__":
    main(sys.argv[1])
