"""`ImageModel`: a trained model that takes images: files, folders, ZIPs, arrays, Pillow's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from shared.config.data import ImageDataConfig
from shared.data.images.augment import build_transform
from shared.data.images.reading import from_array, from_picture, read_path
from shared.data.pixels.levels import rules_of
from shared.data.schema import Schema
from shared.runtime.errors import DataError
from shared.tasks.task_module import TaskModule
from shared.tasks.trained_model import Row, Tell, TrainedModel


class ImageModel(TrainedModel):
    """uint8 images [B, C, H, W] in, predictions out.

    Attributes
    ----------
    data : ImageDataConfig
        How the images were read that it was trained on; those to predict on are read alike.
    rules : PixelRules
        The same with the levels that were chosen from the training images.
    """

    def __init__(
        self, module: TaskModule, *, data: ImageDataConfig, schema: Schema, tell: Tell, threshold: float
    ) -> None:
        super().__init__(module, schema=schema, tell=tell, threshold=threshold, batch_size=data.eval_batch_size)
        self.data, self.rules = data, rules_of(data, chosen=dict(schema.levels))
        self._transform = build_transform(data, train=False)

    def prepare(self, rows: Tensor) -> Tensor:
        """Normalise images.

        Parameters
        ----------
        rows : Tensor [B, C, H, W], uint8
            Of the size and channels in ``data``; `predict` brings others to them.

        Returns
        -------
        Tensor [B, C, H, W], float32
        """
        expected = (self.data.channels, self.data.image_size, self.data.image_size)
        if rows.dtype != torch.uint8 or rows.shape[1:] != expected:
            raise DataError(
                f"expected images of type torch.uint8 and shape [B, {', '.join(map(str, expected))}], got "
                f"{rows.dtype} and {list(rows.shape)}"
            )
        return self._transform(rows)

    def read(self, rows: Any) -> Iterator[Row]:
        """Decode images, and bring them to the size and channels that the network takes.

        Parameters
        ----------
        rows : str, Path, ndarray, Tensor, or sequence of str, Path or PIL.Image.Image
            See `fedtwin.predict`.
        """
        cfg, rules = self.data, self.rules
        if isinstance(rows, str | Path):
            yield from read_path(Path(rows), cfg=cfg, rules=rules)
        elif isinstance(rows, Sequence) and rows and all(isinstance(one, str | Path) for one in rows):
            for path in rows:
                yield from ((str(path), pixels) for _, pixels in read_path(Path(path), cfg=cfg, rules=rules))
        elif isinstance(rows, Sequence) and rows and all(isinstance(one, Image.Image) for one in rows):
            yield from ((str(number), from_picture(image, rules=rules)) for number, image in enumerate(rows))
        else:
            yield from ((str(number), image) for number, image in enumerate(from_array(rows, rules=rules)))

    def no_rows(self) -> Tensor:
        """No images."""
        return torch.zeros(
            (0, self.data.channels, self.data.image_size, self.data.image_size), dtype=torch.uint8
        )
