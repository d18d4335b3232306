"""`ImageDataModule`: batches of images and their targets, of all rows or of one client's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.arrays import ArrayDataModule
from shared.data.images.augment import build_transform
from shared.data.images.dataset import ImageData


class ImageDataModule(ArrayDataModule):
    """Batches of uint8 images [B, C, H, W], augmented (training only) and normalised on the device.

    Parameters
    ----------
    seed, **more
        See `ArrayDataModule`.
    """

    data: ImageData

    def __init__(self, data: ImageData, *, cfg: ImageDataConfig, seed: int, **more: Any) -> None:
        super().__init__(
            data, batch_size=cfg.batch_size, eval_batch_size=cfg.eval_batch_size, seed=seed, **more
        )
        self.train_transform = build_transform(cfg, train=True)
        self.eval_transform = build_transform(cfg, train=False)

    @property
    def inputs(self) -> npt.NDArray[np.uint8]:
        """The images."""
        return self.data.images
