"""Federated k-means of four hospitals beside scikit-learn's on their pooled rows; and the time of an iteration.

``python -m benchmarks.clusters FILE``: the UCI Heart Disease rows, their hospital in the column ``dataset``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from shared.clusters.client import ClientRows
from shared.clusters.messages import Arrays, Question
from shared.clusters.server import Centroids, Lloyd
from shared.config.compose import compose
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of

Floats = npt.NDArray[np.float64]

SEEDS, MOST_ROWS, WIDTH, CLUSTERS = range(1, 6), 1_000_000, 10, 8
INPUTS = "age,sex,cp,trestbps,chol,fbs,restecg,thalch,exang,oldpeak"


def main(path: str) -> None:
    """Print the largest difference of any centroid for several numbers of clusters, and seconds."""
    rows, sites = hospitals(path)
    names = sorted(set(sites.tolist()))
    print(f"{len(rows)} training rows, {rows.shape[1]} numbers each, of {', '.join(names)}")
    for clusters in (2, 3, 4, 5, CLUSTERS):
        found = [
            compared([rows[sites == name] for name in names], clusters=clusters, seed=seed) for seed in SEEDS
        ]
        worst, iterations = max(own for own, _ in found), [own for _, own in found]
        print(f"{clusters} clusters: largest difference {worst:.1e}, iterations {iterations}")
    drawn = np.random.default_rng(0).normal(size=(MOST_ROWS, WIDTH))
    clients, server, state = Clients([drawn]), Lloyd(seed=0), empty(CLUSTERS, WIDTH)
    for what in ("start and first iteration", "second iteration"):
        begin = time.perf_counter()
        state = server.iterate(state, clients.ask)
        print(f"{MOST_ROWS:,} rows, {CLUSTERS} clusters: {what} {time.perf_counter() - begin:.1f} s")


class Clients:
    """Rows that several clients hold, in this process."""

    def __init__(self, parts: list[Floats]) -> None:
        self._clients = {f"client {place}": ClientRows(part) for place, part in enumerate(parts)}

    def ask(self, question: Question) -> Mapping[str, Arrays]:
        """The answers of all."""
        return {name: client.answer(question) for name, client in self._clients.items()}


def empty(clusters: int, width: int) -> Centroids:
    """Centroids before the start."""
    return Centroids(np.zeros((clusters, width)), np.zeros(clusters, dtype=np.int64))


def compared(parts: list[Floats], *, clusters: int, seed: int) -> tuple[float, int]:
    """The largest difference from scikit-learn's centroids, from the same start, and the iterations."""
    clients, server = Clients(parts), Lloyd(seed=seed)
    before = empty(clusters, parts[0].shape[1])
    start = Lloyd(seed=seed).start(before, clients.ask)
    iterations = 0
    while (after := server.iterate(before, clients.ask)) is not before:
        before, iterations = after, iterations + 1
    settings: dict[str, Any] = {"n_init": 1, "max_iter": 1000, "tol": 0, "algorithm": "lloyd"}
    pooled = KMeans(clusters, init=start, **settings).fit(np.concatenate(parts))
    return float(np.abs(pooled.cluster_centers_ - after.places).max()), iterations


def hospitals(path: str) -> tuple[Floats, npt.NDArray[Any]]:
    """The training rows as distances take them, and their hospitals."""
    cfg = compose(
        ["task=clustering", f"data.path={path}", f"data.inputs=[{INPUTS}]", "data.columns.site=dataset"]
    )
    learner = learner_of(cfg)
    with TemporaryDirectory() as cache:
        data = learner.dataset(cache=Path(cache))
    spec, train = learner.spec(data.schema), data.indices("train")
    agreed = spec.agree({"all": spec.profile(data, train)}, trainer=cfg.trainer)
    datamodule: Any = learner.datamodule(data, None, FitContext(agreed=agreed))
    return datamodule.prepared("train"), data.columns["dataset"][train]


if __name__ == "__main__":
    main(sys.argv[1])
