"""`CustomSpec`: what is measured and told of a model of the user's own; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shared.metrics.averages import Floats, defined
from shared.metrics.outputs import Outputs
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics
from shared.runtime.errors import ReplyRejected
from shared.tasks.checks import reject_settings
from shared.tasks.custom.metrics import Functions
from shared.tasks.plain_spec import PlainSpec

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile


class CustomSpec(PlainSpec):
    """The declared metrics: computed by the user's functions from outputs, or else logged by the module.

    A federation's value is the mean of its clients' values, weighted by their rows. For a metric that is a mean
    over rows, that is the value of all rows together; for any other it is an average.

    Parameters
    ----------
    metrics : tuple of MetricSpec
        The first is the headline.
    functions : Functions
        Of those metrics that are not logged.
    monitor : str or None
        None: the first metric, on the validation rows.
    """

    def __init__(self, metrics: tuple[MetricSpec, ...], *, functions: Functions, monitor: str | None) -> None:
        self.metrics, self.functions = metrics, functions
        self.names = tuple(spec.name for spec in metrics)
        self.logged = tuple(name for name in self.names if name not in functions.targets)
        self._monitor = monitor

    @property
    def monitor(self) -> str:
        """What chooses the best model."""
        return self._monitor or super().monitor

    def check_settings(self, trainer: TrainerConfig) -> None:
        """Reject what is for modules of ours, and a monitor that is not declared.

        Raises
        ------
        ConfigError
        """
        reject_settings(trainer, "this task", compile=False)
        super().check_settings(trainer)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics; logged ones are the same under every weighting."""
        w = np.ones((1, len(outputs))) if weights is None else weights
        assert w.shape[1] == len(outputs) > 0, (w.shape, len(outputs))
        return {
            name: self.functions.weighted(name, outputs, w)
            if name in self.functions.targets
            else np.full(len(w), outputs.logged.get(name, np.nan))
            for name in self.names
        }

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        shape = (len(self.names),)
        return {"rows": Layout(shape, counts=True), "sums": Layout(shape, counts=False)}

    def statistics(self, outputs: Outputs) -> Statistics:
        """The rows on which each metric is defined, and the sum of its values over them."""
        rows, sums = [], []
        for name in self.names:
            if name in self.functions.targets:
                each = self.functions.values(name, outputs)
            else:
                each = np.array(outputs.logged.get(name, np.nan))
            if not each.ndim:  # one number for all rows
                each = np.full(len(outputs), each)
            known = ~np.isnan(each)
            rows.append(int(known.sum()))
            sums.append(float(each[known].sum()))
        return Statistics({"rows": np.array(rows, dtype=np.int64), "sums": np.array(sums)})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The mean of each metric over the rows that were added up."""
        rows, sums = statistics["rows"].tolist(), statistics["sums"].tolist()
        return {name: total / count for name, count, total in zip(self.names, rows, sums, strict=True) if count}

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows at most, and that every mean is within its bounds.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        if (most := int(statistics["rows"].max())) > rows:
            raise ValueError(f"rows is {most}, expected {rows} or fewer")
        values = self.pooled(statistics)
        for spec, total in zip(self.metrics, statistics["sums"].tolist(), strict=True):
            low, high = spec.bounds
            slack = 1e-6 * max(1.0, *(abs(end) for end in spec.bounds if np.isfinite(end)), 1.0)
            if spec.name not in values and total:
                raise ValueError(f"sums has {total} for {spec.name}, which is defined on no row")
            if spec.name in values and not low - slack <= values[spec.name] <= high + slack:
                raise ValueError(f"sums gives {spec.name} {values[spec.name]}, expected {low} to {high}")

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """How many rows are of each stratum, if the data has strata."""
        from shared.data.profile import Profile, count_values

        if data.strata is None:
            return Profile()
        strata = data.strata
        return Profile(counts={strata.noun: count_values(strata.numbers[rows], strata.names)})

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the counts are of no more rows than there are.

        Raises
        ------
        ReplyRejected
        """
        for name, counts in profile.counts.items():
            if sum(counts.values()) != num_examples:
                raise ReplyRejected(
                    f"its counts of {name} add up to {sum(counts.values())}, not to its {num_examples} rows"
                )
        if profile.spans:
            raise ReplyRejected(f"its profile has spans of {sorted(profile.spans)}, and none are expected")
