"""What a model is judged by: the torchmetrics of a set of probabilities, and how these are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchmetrics.functional import classification as functional
from torchmetrics.utilities.distributed import gather_all_tensors

from shared.data.datamodule import BatchLoader, ImageDataModule

# From probabilities ([N] of class 1, or [N, classes]) and labels [N].
Metric = Callable[[Tensor, Tensor], Tensor]

THRESHOLD_BINS = 1000
NEEDS_EVERY_CLASS = frozenset({"auroc", "average_precision"})  # not defined where a class does not occur


@dataclass(frozen=True)
class Scores:
    """A model's answers for the rows of one stage.

    Attributes
    ----------
    probabilities : Tensor [N, classes], float32
    labels : Tensor [N], int64
    """

    probabilities: Tensor
    labels: Tensor

    def save(self, path: Path, *, threshold: float) -> None:
        """Keep them as ``.npz`` (probabilities, labels, threshold), written atomically."""
        temporary = path.with_suffix(".tmp.npz")
        np.savez_compressed(
            temporary, probabilities=self.probabilities.numpy(), labels=self.labels.numpy(), threshold=threshold
        )
        temporary.replace(path)


def predict(network: nn.Module, datamodule: ImageDataModule, stage: str, *, device: torch.device) -> Scores:
    """Evaluate a network on a stage, in evaluation mode and 32 bits; its mode and place are restored after.

    Parameters
    ----------
    network : nn.Module
        Gives logits.
    stage : {"train", "val", "test"}
        Never augmented.

    Returns
    -------
    Scores
        On the CPU.
    """
    loader: BatchLoader = datamodule.eval_loader(stage)
    outputs = []
    with _evaluating(network, device), torch.inference_mode():
        for images, _ in loader:
            logits = network(datamodule.eval_transform(images.to(device)))
            outputs.append(logits.float().softmax(dim=1).cpu())
    labels = torch.from_numpy(datamodule.data.labels[datamodule.rows[stage]])
    if not outputs:
        return Scores(torch.empty(0, len(datamodule.data.classes)), labels)
    return Scores(torch.cat(outputs), labels)


def build_metrics(num_classes: int, *, threshold: float = 0.5) -> dict[str, Metric]:
    """The metrics of a classifier, beside its loss.

    They are torchmetrics' functions: its classes, which collect batches, take twice the time where all answers
    are there at once.

    Parameters
    ----------
    threshold : float
        Of the probability of class 1; 2 classes only.

    Returns
    -------
    dict of str to callable
        By name; macro averages for more than 2 classes.
    """
    if num_classes == 2:
        above = partial(partial, threshold=threshold, validate_args=False)
        return {
            "accuracy": above(functional.binary_accuracy),
            "precision": above(functional.binary_precision),
            "recall": above(functional.binary_recall),
            "f1": above(functional.binary_f1_score),
            "auroc": partial(functional.binary_auroc, validate_args=False),
            "average_precision": partial(functional.binary_average_precision, validate_args=False),
            "calibration_error": partial(functional.binary_calibration_error, validate_args=False),
        }
    of_all = partial(partial, num_classes=num_classes, validate_args=False)
    return {
        "accuracy": of_all(functional.multiclass_accuracy, average="micro"),
        "precision": of_all(functional.multiclass_precision),
        "recall": of_all(functional.multiclass_recall),
        "f1": of_all(functional.multiclass_f1_score),
        "auroc": of_all(functional.multiclass_auroc),
        "average_precision": of_all(functional.multiclass_average_precision),
        "calibration_error": of_all(functional.multiclass_calibration_error),
    }


def score(scores: Scores, *, threshold: float = 0.5) -> dict[str, float]:
    """All metrics of some answers.

    Returns
    -------
    dict of str to float
        ``loss`` is the mean negative log likelihood. What is not defined because a class does not occur is left
        out.
    """
    assert len(scores.labels), "there is nothing to judge"
    num_classes = scores.probabilities.shape[1]
    picked = scores.probabilities.gather(1, scores.labels[:, None]).clamp_min(1e-12)
    values = {"loss": float(-picked.log().mean())}
    metrics = build_metrics(num_classes, threshold=threshold)
    values.update(compute(metrics, scores.probabilities, scores.labels))
    return values


def compute(metrics: Mapping[str, Metric], probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute metrics, leaving out what a missing class makes undefined.

    Parameters
    ----------
    metrics : mapping of str to callable
        From `build_metrics`.
    probabilities : Tensor [N, classes]
    labels : Tensor [N]
    """
    num_classes = probabilities.shape[1]
    present = int(torch.bincount(labels, minlength=num_classes).count_nonzero())
    undefined = NEEDS_EVERY_CLASS if present < num_classes else frozenset()
    answers = probabilities[:, 1].contiguous() if num_classes == 2 else probabilities
    return {name: float(metric(answers, labels)) for name, metric in metrics.items() if name not in undefined}


def confusion(scores: Scores, *, threshold: float = 0.5) -> npt.NDArray[np.int64]:
    """Count the answers.

    Parameters
    ----------
    threshold : float
        Of the probability of class 1; 2 classes only.

    Returns
    -------
    ndarray [classes, classes], int64
        Rows: true class; columns: predicted class.
    """
    count = scores.probabilities.shape[1]
    if count == 2:
        predicted = (scores.probabilities[:, 1] > threshold).long()  # as torchmetrics decides
    else:
        predicted = scores.probabilities.argmax(dim=1)
    flat = torch.bincount(scores.labels * count + predicted, minlength=count * count)
    return flat.view(count, count).numpy()


def threshold_counts(scores: Scores) -> npt.NDArray[np.int64]:
    """How often each probability occurs, for `best_threshold`: small enough for a client to send.

    Parameters
    ----------
    scores : Scores
        Of 2 classes.

    Returns
    -------
    ndarray [2, 1000], int64
        Rows: true class; columns: the probability of class 1, in thousandths, rounded up less one: column ``k``
        and those after it are above the threshold ``k / 1000``.
    """
    assert scores.probabilities.shape[1] == 2
    # In 32 bits, like the probabilities, so that `confusion` decides in the same way at the chosen one.
    edges = torch.tensor([k / THRESHOLD_BINS for k in range(THRESHOLD_BINS + 1)])
    edges_below = torch.bucketize(scores.probabilities[:, 1].contiguous(), edges)
    bins = (edges_below - 1).clamp(0, THRESHOLD_BINS - 1)
    flat = torch.bincount(scores.labels * THRESHOLD_BINS + bins, minlength=2 * THRESHOLD_BINS)
    return flat.view(2, THRESHOLD_BINS).numpy()


def best_threshold(counts: npt.NDArray[np.int64]) -> float:
    """The threshold with the best accuracy; among equals, the middle of the range nearest to 0.5.

    Parameters
    ----------
    counts : ndarray [2, 1000], int64
        From `threshold_counts`, of the validation split; those of several clients add up.

    Returns
    -------
    float
        In thousandths, above 0 and below 1.
    """
    negatives, positives = counts
    below = np.concatenate([[0], np.cumsum(negatives)])  # class 0, rightly not above the threshold
    above = np.concatenate([np.cumsum(positives[::-1])[::-1], [0]])  # class 1, rightly above it
    right = (below + above)[1:-1]
    candidates = 1 + np.flatnonzero(right == right.max())
    runs = np.split(candidates, np.flatnonzero(np.diff(candidates) > 1) + 1)
    middles = [float(run[0] + run[-1]) / 2 for run in runs]
    nearest = min(middles, key=lambda middle: abs(middle - THRESHOLD_BINS / 2))
    return round(nearest) / THRESHOLD_BINS


def of_all_devices(values: Tensor) -> Tensor:
    """Put the rows of every device that trains one after the other.

    Parameters
    ----------
    values : Tensor [n, ...]
        ``n`` may differ from device to device.

    Returns
    -------
    Tensor [N, ...]
        The same on every device; unchanged where there is one.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return torch.cat(gather_all_tensors(values))
    return values


@contextmanager
def _evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    training = network.training
    home = next(network.parameters()).device
    network.eval().to(device)
    try:
        yield
    finally:
        network.train(training).to(home)
