"""Curves of test predictions: ROC, precision-recall, calibration and threshold sweep.

The definitions are those of the run's test metrics, so that page and database agree.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a server that nobody asks for predictions needs no NumPy
    import numpy as np
    import numpy.typing as npt

    from shared.metrics.outputs import Outputs

    Floats = npt.NDArray[np.floating]
    Ints = npt.NDArray[np.int64]

CURVE_POINTS = 500
SWEEP = 100


def describe(found: Outputs, *, classes: list[str] | None) -> dict[str, Any]:
    """All curves of a model's predictions.

    Parameters
    ----------
    classes : list of str, optional
        Class names, if known.

    Returns
    -------
    dict
        See `service.api.chart_schemas.PredictionCurves`.
    """
    from shared.metrics.classification import ClassificationMetrics
    from shared.metrics.per_class import per_class

    two = found.num_classes == 2
    if not classes or len(classes) != found.num_classes:
        classes = [str(number) for number in range(found.num_classes)]
    scores = found.predictions[:, 1]
    return {
        "threshold": found.threshold,
        "classes": classes,
        "num_examples": len(found),
        "roc": roc(scores, found.targets) if two else None,
        "pr": precision_recall(scores, found.targets) if two else None,
        "calibration": calibration(found),
        "sweep": sweep(scores, found.targets) if two else None,
        "confusion": ClassificationMetrics(found.num_classes).confusion(found).tolist(),
        "roc_classes": None if two else _one_against_rest(found, classes=classes),
        "per_class": [
            {"class": name, **asdict(score)} for name, score in zip(classes, per_class(found), strict=True)
        ],
    }


def roc(scores: Floats, labels: Ints) -> dict[str, Any] | None:
    """The receiver operating characteristic.

    Parameters
    ----------
    scores : ndarray [N], float32
        Of the positive class.
    labels : ndarray [N], int64
        1 is positive, 0 negative.

    Returns
    -------
    dict or None
        ``fpr``, ``tpr``, ``threshold`` (None: above every score) and ``auroc``; None if a class is missing.
    """
    if not 0 < labels.sum() < len(labels):
        return None
    from sklearn.metrics import roc_auc_score, roc_curve

    fpr, tpr, threshold = roc_curve(labels, scores)
    kept = _thin(len(fpr))
    return {
        "fpr": fpr[kept].tolist(),
        "tpr": tpr[kept].tolist(),
        "threshold": [None, *threshold[kept].tolist()[1:]],
        "auroc": float(roc_auc_score(labels, scores)),
    }


def precision_recall(scores: Floats, labels: Ints) -> dict[str, Any] | None:
    """Precision against recall.

    Parameters
    ----------
    scores : ndarray [N], float32
    labels : ndarray [N], int64

    Returns
    -------
    dict or None
        ``recall`` (descending), ``precision``, ``threshold`` (None at the end: no positive prediction) and
        ``average_precision``; None without a positive.
    """
    if not labels.sum():
        return None
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, threshold = precision_recall_curve(labels, scores, drop_intermediate=True)
    kept = _thin(len(precision))
    return {
        "recall": recall[kept].tolist(),
        "precision": precision[kept].tolist(),
        "threshold": [*threshold[kept[:-1]].tolist(), None],
        "average_precision": float(average_precision_score(labels, scores)),
    }


def calibration(found: Outputs) -> dict[str, Any]:
    """Reliability diagram over bins of confidence: of class 1, or of the top class of more than two.

    Returns
    -------
    dict
        For each bin ``lower``, ``upper``, mean ``confidence`` and ``accuracy`` (None if empty) and
        ``count``; and ``ece``, the expected calibration error. Exactly 1 has a bin of its own, as in
        torchmetrics.
    """
    import numpy as np

    from shared.metrics.class_rows import CALIBRATION_BINS, ClassRows, calibration_bins

    confidence, right = ClassRows(found.num_classes).confidence(found)
    bins, edges = calibration_bins(confidence), np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    count = np.bincount(bins, minlength=CALIBRATION_BINS + 1)
    sure = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS + 1)
    hits = np.bincount(bins, weights=right, minlength=CALIBRATION_BINS + 1)
    shown = CALIBRATION_BINS + (1 if count[-1] else 0)
    return {
        "lower": edges[:shown].tolist(),
        "upper": [*edges[1:].tolist(), 1.0][:shown],
        "confidence": [
            s / n if n else None for s, n in zip(sure[:shown].tolist(), count.tolist(), strict=False)
        ],
        "accuracy": [h / n if n else None for h, n in zip(hits[:shown].tolist(), count.tolist(), strict=False)],
        "count": count[:shown].tolist(),
        "ece": float(np.abs(hits - sure).sum() / len(confidence)),
    }


def sweep(scores: Floats, labels: Ints) -> dict[str, Any]:
    """Confusion counts at thresholds from 0 to 1 in steps of 0.01.

    Parameters
    ----------
    scores : ndarray [N], float32
    labels : ndarray [N], int64

    Returns
    -------
    dict of str to list
        ``threshold`` (0, 0.01 ... 1), ``tp``, ``fp``, ``tn``, ``fn``.
    """
    import numpy as np

    thresholds = [step / SWEEP for step in range(SWEEP + 1)]
    at = np.array(thresholds, dtype=np.float32)  # 32 bits, like the scores: equal is negative
    below = {
        label: np.searchsorted(np.sort(scores[labels == label]), at, side="right").tolist() for label in (0, 1)
    }
    positives = int(labels.sum())
    negatives = len(labels) - positives
    return {
        "threshold": thresholds,
        "tp": [positives - count for count in below[1]],
        "fp": [negatives - count for count in below[0]],
        "tn": below[0],
        "fn": below[1],
    }


def _one_against_rest(found: Outputs, *, classes: list[str]) -> list[dict[str, Any]]:
    curves = []
    for number, name in enumerate(classes):
        curve = roc(found.predictions[:, number], (found.targets == number).astype("int64"))
        if curve is not None:
            curves.append({"class": name, **{key: curve[key] for key in ("fpr", "tpr", "auroc")}})
    return curves


def _thin(length: int) -> list[int]:
    if length <= CURVE_POINTS:
        return list(range(length))
    return [round(place * (length - 1) / (CURVE_POINTS - 1)) for place in range(CURVE_POINTS)]
