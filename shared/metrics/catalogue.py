"""The catalogue: every metric's name, label, order, direction, bounds and unit, once; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from shared.metrics.spec import MODES, Better, MetricSpec, Mode

LOSS = "loss"  # what every task has
_positive: ContextVar[str | None] = ContextVar("positive", default=None)

_SHARE = (0.0, 1.0)
_UP = (0.0, float("inf"))

# The order of every table and menu. The first is the headline; where it is not defined, the next one that is.
CLASSIFICATION = (
    MetricSpec(
        "auroc",
        "AUROC",
        "higher",
        _SHARE,
        description="Area under the ROC curve of class 1, or mean over the classes, each against the rest.",
    ),
    MetricSpec(
        "accuracy", "accuracy", "higher", _SHARE, description="Share of correct predictions.", proportion=True
    ),
    MetricSpec("loss", "loss", "lower", _UP, description="Mean negative log likelihood of the true class."),
    MetricSpec(
        "f1",
        "F1",
        "higher",
        _SHARE,
        description="Harmonic mean of precision and recall, of class 1 or mean over the classes.",
        of_positive=True,
    ),
    MetricSpec(
        "precision",
        "precision",
        "higher",
        _SHARE,
        description="Share of the predictions of a class that are right, of class 1 or mean over the classes.",
        of_positive=True,
    ),
    MetricSpec(
        "recall",
        "recall",
        "higher",
        _SHARE,
        description="Share of the rows of a class predicted as it, of class 1 or mean over the classes.",
        of_positive=True,
    ),
    MetricSpec(
        "average_precision",
        "average precision",
        "higher",
        _SHARE,
        description="Mean precision over all recalls, of class 1 or mean over the classes.",
        of_positive=True,
    ),
    MetricSpec(
        "calibration_error",
        "calibration error",
        "lower",
        _SHARE,
        description="Expected calibration error over 15 bins of the probability of class 1, or of the "
        "likeliest class; small test sets make it larger.",
    ),
)
_OF_LABELS = {
    "auroc": "Area under the ROC curve of a label, mean over the labels.",
    "average_precision": "Mean precision of a label over all recalls, mean over the labels.",
    "f1": "Harmonic mean of a label's precision and recall, mean over the labels.",
    "precision": "Share of the predictions of a label that are right, mean over the labels.",
    "recall": "Share of the rows with a label that are predicted to have it, mean over the labels.",
}
# Any number of labels a row: means over the labels, except for the last two.
MULTI_LABEL = (
    *(
        replace(spec, description=text, of_positive=False)
        for name, text in _OF_LABELS.items()
        for spec in CLASSIFICATION
        if spec.name == name
    ),
    MetricSpec(
        "label_accuracy",
        "label accuracy",
        "higher",
        _SHARE,
        description="Share of the decisions, one for each row and label, that are right.",
    ),
    MetricSpec("loss", "loss", "lower", _UP, description="Mean binary cross entropy over rows and labels."),
)
REGRESSION = (
    MetricSpec("mae", "MAE", "lower", _UP, description="Mean absolute error, in the target's unit."),
    MetricSpec(
        "rmse", "RMSE", "lower", _UP, description="Root of the mean squared error, in the target's unit."
    ),
    MetricSpec(
        "r2",
        "R2",
        "higher",
        (-float("inf"), 1.0),
        description="Share of the target's variance that is explained.",
    ),
    MetricSpec(
        "loss", "loss", "lower", _UP, description="Mean squared error, in the square of the target's unit."
    ),
)
# Of several steps ahead; the last two are floors, which any model must beat.
FORECASTING = (
    *REGRESSION[:2],
    MetricSpec(
        "mase",
        "MASE",
        "lower",
        _UP,
        description="Mean absolute error by the mean change of its series over a season, in training.",
    ),
    MetricSpec(
        "smape",
        "sMAPE",
        "lower",
        (0.0, 2.0),
        description="Mean of twice the error by the sum of true and predicted size; 2 at most.",
    ),
    MetricSpec(
        "mape",
        "MAPE",
        "lower",
        _UP,
        description="Mean of the error by the true value, of steps where that is not 0; 1 is 100 %.",
    ),
    *REGRESSION[2:],
    MetricSpec(
        "seasonal_mae",
        "MAE, seasonal floor",
        "lower",
        _UP,
        description="Of the same step of the last season, such as the same hour yesterday.",
        floor=True,
    ),
    MetricSpec(
        "persistence_mae",
        "MAE, persistence floor",
        "lower",
        _UP,
        description="Of the last value, which stays.",
        floor=True,
    ),
)
CLUSTERING = (
    MetricSpec(
        "inertia",
        "inertia",
        "lower",
        _UP,
        description="Mean squared distance to the nearest centroid, of the inputs as they are scaled.",
    ),
    MetricSpec(
        "silhouette",
        "silhouette",
        "higher",
        (-1.0, 1.0),
        description="How much nearer a row is to its own cluster than to the next, mean over the rows.",
    ),
    MetricSpec(
        "calinski_harabasz",
        "Calinski-Harabasz",
        "higher",
        _UP,
        description="Dispersion between the clusters by that within them, each by its degrees of freedom.",
    ),
)
# Of a Gaussian mixture, whose clusters are its components.
MIXTURE = (
    MetricSpec(
        "log_likelihood",
        "log-likelihood",
        "higher",
        (float("-inf"), float("inf")),
        description="Mean logarithm of the density of a row, of the inputs as they are scaled.",
    ),
    MetricSpec(
        "bic",
        "BIC",
        "lower",
        (float("-inf"), float("inf")),
        description="Bayesian information criterion of the rows: what they are unlikely, and parameters cost.",
    ),
    *CLUSTERING[1:],
)
# Of clusters with labels, where rows have some.
AGREEMENT = (
    MetricSpec(
        "adjusted_rand",
        "adjusted Rand index",
        "higher",
        (-0.5, 1.0),
        description="Pairs of rows that clusters and labels treat alike, less what chance would give.",
    ),
    MetricSpec(
        "mutual_information",
        "normalised mutual information",
        "higher",
        _SHARE,
        description="What clusters and labels tell of each other, by the mean of their entropies.",
    ),
)
# Of alarms: a row is one where its score exceeds its control limit.
ANOMALY = (
    MetricSpec(
        "f1", "F1", "higher", _SHARE, description="Harmonic mean of the precision and recall of alarms."
    ),
    MetricSpec(
        "false_alarm_rate",
        "false alarm rate",
        "lower",
        _SHARE,
        description="Share of the normal rows that are alarms.",
    ),
    MetricSpec(
        "missed_alarm_rate",
        "missed alarm rate",
        "lower",
        _SHARE,
        description="Share of the anomalies that are no alarms.",
    ),
    MetricSpec(
        "auroc",
        "AUROC",
        "higher",
        _SHARE,
        description="Area under the ROC curve of the ratio of score to limit.",
    ),
    MetricSpec(
        "average_precision",
        "average precision",
        "higher",
        _SHARE,
        description="Mean precision over all recalls, by the ratio of score to limit.",
    ),
    MetricSpec("loss", "loss", "lower", _UP, description="Mean score of the normal rows."),
)
SYSTEM = (
    MetricSpec(
        "lr", "learning rate", bounds=_UP, description="Of the last step of the epoch.", source="training"
    ),
    MetricSpec("seconds", "seconds per epoch", "lower", _UP, "s", "Its validation included.", "training"),
    MetricSpec(
        "bytes_down", "bytes to client", "lower", _UP, "B", "Arrays, settings and text of a message.", "server"
    ),
    MetricSpec(
        "bytes_up", "bytes from client", "lower", _UP, "B", "Arrays, metrics and counts of a reply.", "server"
    ),
    MetricSpec("reply_seconds", "seconds to reply", "lower", _UP, "s", "From sending to the reply.", "server"),
    MetricSpec("asked_again", "messages sent again", "lower", _UP, "", "To a client, in one round.", "server"),
    MetricSpec(
        "late_reply_seconds", "seconds of a late reply", "lower", _UP, "s", "Past its deadline.", "server"
    ),
    MetricSpec(
        "update_norm_ratio",
        "update / usual update",
        "lower",
        _UP,
        "",
        "Norm of an update that was left out, as a multiple of what was usual.",
        "server",
    ),
)
_ANY_LOSS = MetricSpec(LOSS, LOSS, "lower", _UP, description="What training minimises, mean over the rows.")
# One meaning a name, or one that fits all tasks that have it: the first description counts.
_ALL = (
    *(*CLASSIFICATION[:2], *REGRESSION[:-1], _ANY_LOSS, *CLASSIFICATION[2:]),
    *(*MULTI_LABEL, *REGRESSION, *FORECASTING, *CLUSTERING, *AGREEMENT, *ANOMALY, *SYSTEM),
)
_KNOWN = {spec.name: spec for spec in reversed(_ALL)}
_KNOWN = {spec.name: _KNOWN[spec.name] for spec in _ALL}
_PLACES = {name: place for place, name in enumerate(_KNOWN)}

# What a client may measure, by name; the rest is measured by the server.
BY_CLIENTS = tuple(spec.name for spec in _KNOWN.values() if spec.source != "server")
BY_SERVER = tuple(spec.name for spec in _KNOWN.values() if spec.source == "server")


def spec_of(name: str) -> MetricSpec:
    """What is known of a metric.

    Returns
    -------
    MetricSpec
        Of a name that is not in the catalogue (a user's own metric): no direction, no bounds, no unit.
    """
    return _KNOWN.get(name) or MetricSpec(name, name.replace("_", " "))


def label(name: str) -> str:
    """A metric's name for readers; with the positive class within `naming`: ``recall (covid)``."""
    return label_of(spec_of(name), _positive.get())


def label_of(spec: MetricSpec, positive: str | None) -> str:
    """A metric's name for readers, with the class that it is of.

    Parameters
    ----------
    positive : str or None
        Of two classes; None where a metric is of all classes.
    """
    return f"{spec.label} ({positive})" if positive is not None and spec.of_positive else spec.label


@contextmanager
def naming(positive: str | None) -> Iterator[None]:
    """Name the positive class in every `label` meanwhile.

    Parameters
    ----------
    positive : str or None
        Of the two classes of the runs that are shown; None where there are more, or none.
    """
    token = _positive.set(positive)
    try:
        yield
    finally:
        _positive.reset(token)


def better(name: str, *, mode: Mode | None = None) -> Better | None:
    """The better direction of a metric.

    Parameters
    ----------
    mode : {"min", "max"}, optional
        As configured (``trainer.mode``); it comes before the catalogue's.

    Returns
    -------
    {"higher", "lower"} or None
        None where neither is known to be better: the direction is never guessed from the name.
    """
    if mode is not None:
        return next(direction for direction, one in MODES.items() if one == mode)
    return spec_of(name).better


def in_order(names: Iterable[str]) -> list[str]:
    """Metrics without duplicates, in the order of the catalogue; unknown ones last, by name."""
    return sorted(set(names), key=lambda name: (_PLACES.get(name, len(_PLACES)), name))


def progress_metrics(names: Iterable[str]) -> list[str]:
    """What a line of progress shows of the metrics that were measured: the loss and one that is easily read."""
    measured = [name for name in in_order(names) if spec_of(name).source == "outputs"]
    others = [name for name in measured if name != LOSS]
    shares = [name for name in others if spec_of(name).proportion]
    return [name for name in measured if name == LOSS] + (shares or others)[:1]


def default_monitor(num_classes: int) -> str:
    """The metric key that chooses the best model of a classifier by default.

    Of two classes not the recall, which is highest for a model that calls everything positive.
    """
    return "val/auroc" if num_classes == 2 else "val/accuracy"


def as_json() -> list[dict[str, object]]:
    """The catalogue in JSON's types, in its order; an infinite bound is null."""
    finite: dict[float, None] = {float("inf"): None, float("-inf"): None}
    return [
        {
            "name": spec.name,
            "label": spec.label,
            "better": spec.better,
            "low": finite.get(spec.bounds[0], spec.bounds[0]),
            "high": finite.get(spec.bounds[1], spec.bounds[1]),
            "unit": spec.unit,
            "description": spec.description,
            "source": spec.source,
            "of_positive": spec.of_positive,
        }
        for spec in _KNOWN.values()
    ]
