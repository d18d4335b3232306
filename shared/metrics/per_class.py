"""`per_class`: how well a classifier does on each class by itself, against all others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.metrics.averages import rates_of_each
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.ranking import rank


@dataclass(frozen=True)
class ClassScore:
    """One class against the rest.

    Attributes
    ----------
    support : int
        Rows of the class.
    precision : float or None
        None where the class is never predicted.
    recall, f1 : float or None
        None where no row is of the class.
    auroc : float or None
        Of the class's probability; None where no row, or every row, is of the class.
    """

    support: int
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None


def per_class(outputs: Outputs) -> list[ClassScore]:
    """The scores of each class, at the threshold of the outputs.

    Of two classes both are listed: class 0 too is measured as if it were the positive one.

    Parameters
    ----------
    outputs : Outputs
        Of a classification; every probability is finite.

    Returns
    -------
    list of ClassScore
        By the number of the class.
    """
    confusion = ClassificationMetrics(outputs.num_classes).confusion(outputs).astype(np.float64)
    positives, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    each = rates_of_each(correct=confusion.diagonal()[None], claimed=claimed[None], positives=positives[None])
    once = np.ones((len(outputs), 1))
    scores = []
    for number, support in enumerate(positives.astype(int).tolist()):
        area = float(rank(outputs.predictions[:, number], outputs.targets == number, once)[0][0])
        measured = {name: float(values[0, number]) for name, values in each.items()}
        scores.append(
            ClassScore(
                support=support,
                precision=measured["precision"] if claimed[number] else None,
                recall=measured["recall"] if support else None,
                f1=measured["f1"] if support else None,
                auroc=None if math.isnan(area) else area,
            )
        )
    return scores
