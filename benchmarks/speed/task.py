"""The training task of hand-written programs: network in plain PyTorch, images as tensors, evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.handover import Plan

EVALUATION_BATCH = 512


class Net(nn.Module):
    """Two convolutions and two linear layers, as `conf/model/cnn.yaml` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 7 * 7, 48)
        self.fc2 = nn.Linear(48, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Logits.

        Parameters
        ----------
        images : Tensor [B, 1, 28, 28], float32

        Returns
        -------
        Tensor [B, 2]
        """
        hidden = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        hidden = functional.max_pool2d(functional.relu(self.conv2(hidden)), 2)
        return self.fc2(functional.relu(self.fc1(hidden.flatten(1))))


def build_model(name: str) -> nn.Module:
    """A workload's network.

    Parameters
    ----------
    name : {"cnn", "resnet18"}
    """
    if name == "cnn":
        return Net()
    from torchvision.models import resnet18  # only where it is needed: a second to import

    network = resnet18(num_classes=2)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return network


def set_weights(model: nn.Module, plan: Plan) -> None:
    """Give a network the plan's initial weights."""
    tensors = map(torch.from_numpy, plan.weights)
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))


def read_images(path: str | Path, side: str) -> tuple[Tensor, Tensor]:
    """All images of one side of the split, in memory.

    Parameters
    ----------
    path : str or Path
        In MedMNIST's layout, grey.
    side : {"train", "val", "test"}

    Returns
    -------
    tuple of Tensor [N, 1, H, W] float32 in [-1, 1], and Tensor [N] int64
    """
    with np.load(path) as stored:
        pixels, labels = stored[f"{side}_images"], stored[f"{side}_labels"]
    images = torch.from_numpy(pixels).unsqueeze(1).float().div_(255).sub_(0.5).div_(0.5)
    return images, torch.from_numpy(labels.astype(np.int64)).flatten()


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Loss and AUC.

    Parameters
    ----------
    images : Tensor [N, 1, H, W], float32
    labels : Tensor [N], int64
    """
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(batch) for batch in images.split(EVALUATION_BATCH)])
    loss = functional.cross_entropy(logits, labels).item()
    return loss, area_under_curve((logits[:, 1] - logits[:, 0]).numpy(), labels.numpy())


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """How often a positive row scores above a negative one; ties count half.

    Parameters
    ----------
    scores : ndarray [N]
    labels : ndarray [N]
        0 or 1.
    """
    positive, negative = scores[labels == 1], np.sort(scores[labels == 0])
    below = np.searchsorted(negative, positive, side="left")
    not_above = np.searchsorted(negative, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))
