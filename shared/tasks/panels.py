"""`Panel`: what is drawn of a tested model beside its metrics; drawn by its kind, everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Kind = Literal[
    "confusion",
    "label_table",
    "residuals",
    "cluster_profile",
    "cluster_map",
    "anomaly_scores",
    "forecast",
    "horizon",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_POINTS = 500  # of a scatter plot


@dataclass(frozen=True)
class Panel:
    """One figure or table, in JSON's types.

    Attributes
    ----------
    kind : str
        Of `KINDS`; which of the functions below, or of the ``panels`` of a task, made it, and so which keys
        ``data`` has.
    title : str
    data : mapping
    """

    kind: Kind
    title: str
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The panel in JSON's types."""
        return asdict(self)


def confusion_panel(counts: npt.NDArray[np.int64], *, classes: Sequence[str]) -> Panel:
    """How often which class was predicted for which.

    Parameters
    ----------
    counts : ndarray [classes, classes], int64
        A row a true class, a column a predicted class.
    """
    return Panel("confusion", "Confusion matrix", {"classes": list(classes), "counts": counts.tolist()})


def label_table_panel(
    values: Mapping[str, Sequence[float]], *, labels: Sequence[str], counts: Sequence[int]
) -> Panel:
    """Metrics of each of several labels.

    Parameters
    ----------
    values : mapping of str to sequence of float
        By the metric's name, one value a label; NaN where it is not defined.
    counts : sequence of int
        Rows that have the label.
    """
    columns = {
        name: [None if np.isnan(value) else float(value) for value in column] for name, column in values.items()
    }
    return Panel(
        "label_table", "Each label", {"labels": list(labels), "counts": list(counts), "values": columns}
    )


def residuals_panel(true: npt.NDArray[Any], predicted: npt.NDArray[Any], *, target: str) -> Panel:
    """Predicted against true values, of `MOST_POINTS` rows at most, spread evenly over the true values.

    Parameters
    ----------
    true, predicted : ndarray [N], float
    target : str
        Name of what is predicted.
    """
    order = np.argsort(true, kind="stable")
    kept = order[
        np.unique(np.linspace(0, len(order) - 1, min(len(order), MOST_POINTS)).round().astype(np.int64))
    ]
    data = {
        "target": target,
        "true": true[kept].astype(float).tolist(),
        "predicted": predicted[kept].astype(float).tolist(),
    }
    return Panel("residuals", "Predicted against true", {**data, "num_examples": len(order)})


def confusion_of(panels: Sequence[Mapping[str, Any]]) -> list[list[int]] | None:
    """The counts of the confusion matrix among some panels, if there is one.

    Parameters
    ----------
    panels : sequence of mapping
        From `Panel.as_dict`.
    """
    return next((panel["data"]["counts"] for panel in panels if panel["kind"] == "confusion"), None)
