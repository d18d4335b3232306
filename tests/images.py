"""Image classification for tests: data, batches and modules of a few classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shared.config.config import Config
from shared.config.data import ImageDataConfig
from shared.data.images import dataset
from shared.data.images.dataset import ImageData
from shared.data.schema import Schema
from shared.tasks.base import FitContext
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.spec import CLASS_WEIGHTS, ClassificationSpec


def load_images(cfg: ImageDataConfig, *, cache_dir: Path, **more: Any) -> ImageData:
    """Images with one of several classes each."""
    return dataset.load_images(cfg, cache_dir=cache_dir, read_targets=read_classes, **more)


def spec_of(num_classes: int) -> ClassificationSpec:
    """The spec of the classes ``0``, ``1`` ..."""
    return ClassificationSpec(Schema(classes=tuple(map(str, range(num_classes)))))


def classifier(
    cfg: Config, *, num_classes: int, class_weights: Sequence[float] | None = None, **fit: Any
) -> LitClassifier:
    """A module for the classes ``0``, ``1`` ..., made ready for a fit."""
    agreed = {} if class_weights is None else {CLASS_WEIGHTS: list(class_weights)}
    return LitClassifier(cfg, spec=spec_of(num_classes), fit=FitContext(agreed=agreed, **fit))


@dataclass
class Bare:
    """A network that gives logits, as `shared.tasks.stage_outputs.predict` takes a module."""

    network: nn.Module

    def predictions(self, results: Tensor) -> Tensor:
        """Probabilities."""
        return results.softmax(dim=1)
