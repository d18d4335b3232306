"""`MetricSpec`: what is known of a metric besides its values; `catalogue` has all of ours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
Mode = Literal["min", "max"]
Source = Literal["outputs", "training", "server"]

MODES: dict[Better, Mode] = {"higher": "max", "lower": "min"}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric.

    Attributes
    ----------
    name : str
        Without the stage, as in ``run_metrics``.
    label : str
        For readers, in lower case unless it is an abbreviation.
    better : {"higher", "lower"} or None
        None: neither direction is better.
    bounds : tuple of float
        Least and largest possible value.
    unit : str
        Such as ``s`` or ``B`` (bytes); empty for a plain number.
    description : str
        One sentence.
    source : {"outputs", "training", "server"}
        Computed from a model's outputs, logged by the training itself, or measured by the server.
    proportion : bool
        A share of the examples, each counted once: intervals of proportions hold, and values of clients that
        have different classes can be compared.
    per_run : bool
        One number a run, which cannot be computed of resampled rows: only several seeds give an interval.
    floor : bool
        Of the rows alone, whatever a model predicts: two models on the same rows have the same.
    of_positive : bool
        Of two classes it is of the positive one alone, whose name belongs to the metric's.
    """

    name: str
    label: str
    better: Better | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)
    unit: str = ""
    description: str = ""
    source: Source = "outputs"
    proportion: bool = False
    per_run: bool = False
    floor: bool = False
    of_positive: bool = False

    @property
    def mode(self) -> Mode | None:
        """The better direction in Lightning's words."""
        return None if self.better is None else MODES[self.better]

    @property
    def is_bounded(self) -> bool:
        """Whether both bounds are finite, so that metrics with the same ones can share a scale."""
        return all(map(math.isfinite, self.bounds))
