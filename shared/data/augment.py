"""From uint8 batches to what the network sees: augmentation and normalisation, on whole tensor batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from shared.config import AugmentConfig, DataConfig

Transform = Callable[[Tensor], Tensor]  # of a batch

SMALLEST_STD = 1e-3  # added to the deviation of an image, of pixels in [0, 1]: a quarter of a grey level


class RandomAffinePerImage(v2.Transform):
    """Flip, shift, rotate and scale each image of a batch by its own random draw, in one resampling.

    torchvision's own ``v2.RandomAffine`` draws once for a whole batch; training wants a draw for each image.

    Parameters
    ----------
    cfg : AugmentConfig
    """

    def __init__(self, cfg: AugmentConfig) -> None:
        super().__init__()
        self.cfg = cfg

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one affine matrix for each image.

        Parameters
        ----------
        flat_inputs : list
            Its first entry is the batch, [B, C, H, W].

        Returns
        -------
        dict
            ``theta``, [B, 2, 3], from output to input coordinates in [-1, 1].
        """
        count = flat_inputs[0].shape[0]
        draw = torch.rand(5, count) * 2 - 1
        angle = draw[0] * math.radians(self.cfg.rotate)
        zoom = 1 + draw[1] * self.cfg.scale
        mirror = torch.where((draw[2] + 1) / 2 < self.cfg.hflip, -1.0, 1.0)
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        shift = draw[3:5] * 2 * self.cfg.shift
        rows = torch.stack([mirror * cos, -sin, shift[0], mirror * sin, cos, shift[1]], dim=1)
        return {"theta": rows.view(count, 2, 3)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resample a batch.

        Parameters
        ----------
        inpt : Tensor [B, C, H, W], float32
        params : dict
            From `make_params`.

        Returns
        -------
        Tensor [B, C, H, W], float32
            Pixels from outside the image are those of its edge.
        """
        theta = params["theta"].to(inpt.device, inpt.dtype)
        grid = functional.affine_grid(theta, list(inpt.shape), align_corners=False)
        return functional.grid_sample(inpt, grid, mode="bilinear", padding_mode="border", align_corners=False)


class RandomIntensityPerImage(v2.Transform):
    """Change contrast (around the image's own mean) and brightness of each image by its own random draw.

    Parameters
    ----------
    cfg : AugmentConfig
    """

    def __init__(self, cfg: AugmentConfig) -> None:
        super().__init__()
        self.cfg = cfg

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one factor and one offset for each image.

        Parameters
        ----------
        flat_inputs : list
            Its first entry is the batch, [B, C, H, W].

        Returns
        -------
        dict
            ``factor`` and ``offset``, [B, 1, 1, 1].
        """
        draw = torch.rand(2, flat_inputs[0].shape[0], 1, 1, 1) * 2 - 1
        return {"factor": 1 + draw[0] * self.cfg.contrast, "offset": draw[1] * self.cfg.brightness}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change a batch.

        Parameters
        ----------
        inpt : Tensor [B, C, H, W], float32
        params : dict
            From `make_params`.

        Returns
        -------
        Tensor [B, C, H, W], float32
            Not clipped to [0, 1].
        """
        mean = inpt.mean(dim=(1, 2, 3), keepdim=True)
        factor, offset = (params[name].to(inpt.device, inpt.dtype) for name in ("factor", "offset"))
        return (inpt - mean) * factor + mean + offset


class StandardizePerImage(v2.Transform):
    """Give each image mean 0 and standard deviation 1, whatever its exposure and contrast were."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Standardise a batch.

        Parameters
        ----------
        inpt : Tensor [B, C, H, W], float32 in [0, 1]
        params : dict
            Not used: nothing is drawn.

        Returns
        -------
        Tensor [B, C, H, W], float32
            An image of one colour becomes 0.
        """
        std, mean = torch.std_mean(inpt, dim=(1, 2, 3), keepdim=True, correction=0)
        return (inpt - mean) / (std + SMALLEST_STD)


def build_transform(cfg: DataConfig, *, train: bool) -> Transform:
    """The transform of a batch of images.

    Parameters
    ----------
    cfg : DataConfig
    train : bool
        Whether to augment.

    Returns
    -------
    callable
        Takes uint8 [B, C, H, W], gives float32 [B, C, H, W], normalised, channels last in memory.
    """
    # Functions rather than transforms where nothing is drawn: those look for images in whatever they get.
    steps: list[Transform] = [partial(v2.functional.to_dtype, dtype=torch.float32, scale=True)]
    augment = cfg.augment
    if train and any((augment.hflip, augment.shift, augment.rotate, augment.scale)):
        steps.append(RandomAffinePerImage(augment))
    if train and (augment.contrast or augment.brightness):
        steps.append(RandomIntensityPerImage(augment))
    if cfg.standardize == "image":
        steps.append(StandardizePerImage())
    else:
        mean, std = (list(values) * (cfg.channels // len(values)) for values in (cfg.mean, cfg.std))
        steps.append(partial(v2.functional.normalize, mean=mean, std=std, inplace=True))
    # Convolutions on a CPU take about 0.6 of the time in this layout.
    steps.append(partial(Tensor.contiguous, memory_format=torch.channels_last))
    return partial(_in_turn, steps)


def _in_turn(steps: Sequence[Transform], images: Tensor) -> Tensor:
    for step in steps:
        images = step(images)
    return images
