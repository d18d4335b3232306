"""`ClusterMetrics`: everything that clusters are judged by; the one definition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.agreement import adjusted_rand, normalised_mutual_information
from shared.metrics.averages import Floats, defined, under_weights
from shared.metrics.catalogue import AGREEMENT, CLUSTERING, MIXTURE
from shared.metrics.outputs import Outputs
from shared.metrics.silhouette import Silhouette, sample_of
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics


class ClusterMetrics:
    """The metrics of rows by nearest centroid.

    Predictions [N, k + d] are the squared distances to each centroid, then the row as the model takes it:
    scaled, without gaps. Of a mixture, negative logarithms of the joint densities stand for the distances.
    Targets are the labels [N] by number, which only the agreement looks at.

    Parameters
    ----------
    clusters : int
        k.
    width : int
        The largest d.
    labels : int
        How many different labels there are; 0: rows have none.
    is_mixture : bool
        Whether the clusters are the components of a Gaussian mixture.
    full : bool
        Whether its covariances are full; else they are diagonal.
    """

    def __init__(
        self, *, clusters: int, width: int, labels: int, is_mixture: bool = False, full: bool = False
    ) -> None:
        self.clusters, self.width, self.labels = clusters, width, labels
        self.is_mixture, self.full = is_mixture, full
        own = MIXTURE if is_mixture else CLUSTERING
        self.metrics: tuple[MetricSpec, ...] = (*own, *(AGREEMENT if labels else ()))

    @property
    def client_metric(self) -> str:
        """The headline."""
        return self.metrics[0].name

    @property
    def monitor(self) -> str:
        """The headline, on the validation rows."""
        return f"val/{self.client_metric}"

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    def nearest(self, outputs: Outputs) -> NDArray[np.intp]:
        """The cluster of each row, [N]."""
        places: NDArray[np.intp] = outputs.predictions[:, : self.clusters].argmin(axis=1)
        return places

    def rows(self, outputs: Outputs) -> Floats:
        """The rows as the model takes them, [N, d]."""
        return outputs.predictions[:, self.clusters :].astype(np.float64)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once; see `shared.metrics.judge.Judge.score`."""

        def measure(w: Floats) -> dict[str, Floats]:
            rows, nearest = self.rows(outputs), self.nearest(outputs)
            rows = rows - rows.mean(axis=0)  # no digits are lost on their level
            some = sample_of(len(rows))
            is_in = np.eye(self.clusters)[nearest]
            sizes = w @ is_in
            sums = np.stack([w @ (is_in[:, [place]] * rows) for place in range(self.clusters)], axis=1)
            found = {
                **self._fit(w @ self._fits(outputs), w.sum(axis=1), self._parameters(outputs)),
                "silhouette": Silhouette(rows[some], nearest[some], clusters=self.clusters).mean(w[:, some]),
                "calinski_harabasz": _dispersion_ratio(sizes, sums, w @ np.square(rows).sum(axis=1)),
            }
            return {**found, **self._agreement(np.stack([w @ own for own in self._pairs(outputs)], axis=1))}

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {
            "rows": Layout((1,), counts=True),
            "silhouettes": Layout((1,), counts=True),
            "pairs": Layout((max(self.labels, 1), self.clusters), counts=True),
            "sums": Layout((4,), counts=False),
            "totals": Layout((self.clusters, self.width), counts=False),
        }

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum.

        Returns
        -------
        Statistics
            ``rows``; ``silhouettes``, how many rows these are of; ``pairs``, rows by label and cluster;
            ``sums``, of squared distances to the nearest centroid or of log-likelihoods, of silhouettes among
            the client's own rows, of squared values, and for each row of the parameters of a mixture;
            ``totals``, sums of the rows of each cluster.
        """
        rows, nearest = self.rows(outputs), self.nearest(outputs)
        some = sample_of(len(rows))
        mean = float(
            Silhouette(rows[some], nearest[some], clusters=self.clusters).mean(np.ones((1, len(some))))[0]
        )
        measured = 0 if np.isnan(mean) else len(some)
        totals = np.zeros((self.clusters, self.width))
        np.add.at(totals[:, : rows.shape[1]], nearest, rows)
        pairs = np.array([own.sum(axis=0) for own in self._pairs(outputs)]).astype(np.int64)
        sums = np.array(
            [
                self._fits(outputs).sum(),
                measured * mean if measured else 0.0,
                np.square(rows).sum(),
                float(len(rows) * self._parameters(outputs)),
            ]
        )
        counts = {name: np.array([count]) for name, count in (("rows", len(rows)), ("silhouettes", measured))}
        return Statistics({**counts, "pairs": pairs, "sums": sums, "totals": totals})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows.

        All are exact but the silhouette, which is the mean of each client's rows among its own.
        """
        fit, silhouettes, squares, parameters = statistics["sums"].tolist()
        pairs = statistics["pairs"].astype(np.float64)[None]
        sizes = pairs.sum(axis=1)
        rows, measured = float(statistics["rows"][0]), float(statistics["silhouettes"][0])
        found = {
            **{
                name: float(value[0])
                for name, value in self._fit(np.array([fit]), np.array([rows]), parameters / rows).items()
            },
            "silhouette": silhouettes / measured if measured else np.nan,
            "calinski_harabasz": float(
                _dispersion_ratio(sizes, statistics["totals"][None], np.array([squares]))[0]
            ),
            **{name: float(value[0]) for name, value in self._agreement(pairs).items()},
        }
        return defined({name: found[name] for name in self.names})

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        statistics.check_rows(rows)
        pairs, measured = statistics["pairs"], int(statistics["silhouettes"][0])
        fit, silhouettes, squares, parameters = statistics["sums"].tolist()
        slack = 1e-9 * max(1.0, squares)
        if int(pairs.sum()) != rows:
            raise ValueError(f"pairs are of {int(pairs.sum())} rows, expected {rows}")
        if not (0 <= measured <= rows and abs(silhouettes) <= measured + 1e-9):
            raise ValueError(f"the sum of {measured} silhouettes is {silhouettes:.6g}")
        if not (squares >= 0 and (fit >= 0 or self.is_mixture)):
            raise ValueError("sums of squares are negative")
        if not 0 <= parameters <= rows * self._parameters_of(self.width):
            raise ValueError(f"a mixture has no {parameters:.6g} parameters for {rows} rows")
        sizes = np.maximum(pairs.sum(axis=0), 1)
        # Of any rows, the squared sum divided by their number is no more than the sum of squares.
        if not (np.square(statistics["totals"]).sum(axis=1) / sizes).sum() <= squares + slack:
            raise ValueError("totals of the clusters and the sum of squares contradict each other")

    def best_threshold(self, statistics: Statistics) -> float:
        """Not for this task."""
        raise NotImplementedError

    def _fits(self, outputs: Outputs) -> Floats:
        """Squared distance to the nearest centroid, or log-likelihood, of each row, [N]."""
        own = outputs.predictions[:, : self.clusters].astype(np.float64)
        least: Floats = own.min(axis=1)
        if not self.is_mixture:
            return least
        likelihoods: Floats = np.log(np.exp(least[:, None] - own).sum(axis=1)) - least
        return likelihoods

    def _parameters(self, outputs: Outputs) -> int:
        """Of a mixture: means, variances (or covariances), and weights, which add up to 1."""
        return self._parameters_of(int(outputs.predictions.shape[1]) - self.clusters)

    def _parameters_of(self, width: int) -> int:
        if not self.is_mixture:
            return 0
        spread = width * (width + 1) // 2 if self.full else width
        return self.clusters * (width + spread) + self.clusters - 1

    def _fit(self, fit: Floats, rows: Floats, parameters: float) -> dict[str, Floats]:
        """What the sum [R] of `_fits` over so many rows [R] says."""
        if not self.is_mixture:
            return {"inertia": fit / rows}
        return {"log_likelihood": fit / rows, "bic": parameters * np.log(rows) - 2 * fit}

    def _pairs(self, outputs: Outputs) -> list[Floats]:
        """For each label, whether a row has it and is in a cluster, [N, k]."""
        is_in = np.eye(self.clusters)[self.nearest(outputs)]
        if not self.labels:
            return [is_in]
        return [is_in * (outputs.targets == label)[:, None] for label in range(self.labels)]

    def _agreement(self, pairs: Floats) -> dict[str, Floats]:
        """Of counts [R, labels, k]."""
        if not self.labels:
            return {}
        return {
            "adjusted_rand": adjusted_rand(pairs),
            "mutual_information": normalised_mutual_information(pairs),
        }


def _dispersion_ratio(sizes: Floats, sums: Floats, squares: Floats) -> Floats:
    """Calinski and Harabasz's ratio (1974) of dispersion between and within clusters, as scikit-learn has it.

    Parameters
    ----------
    sizes : ndarray [R, k], float64
    sums : ndarray [R, k, d], float64
        Of the rows of each cluster.
    squares : ndarray [R], float64
        Sum of all squared values.
    """
    total = sizes.sum(axis=1)
    explained = np.divide(np.square(sums).sum(axis=2), sizes, out=np.zeros_like(sizes), where=sizes > 0).sum(
        axis=1
    )
    between = np.maximum(explained - np.square(sums.sum(axis=1)).sum(axis=1) / total, 0.0)
    within = np.maximum(squares - explained, 0.0)
    filled = (sizes > 0).sum(axis=1)
    known = (filled > 1) & (total > filled)
    none = within <= 1e-12 * np.abs(squares)  # every row is its centroid
    ratio = np.divide(
        between * (total - filled), within * (filled - 1), out=np.ones_like(total), where=known & ~none
    )
    return np.where(known, ratio, np.nan)
