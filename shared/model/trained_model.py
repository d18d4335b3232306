"""`TrainedModel`: the network of a run with its preprocessing, as a plain module that gives probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from shared.config.config import Config
from shared.data.images.augment import build_transform
from shared.model.backbones import build_network
from shared.runtime.errors import DataError, WeightsError


class TrainedModel(nn.Module):
    """Images in, probabilities out; in evaluation mode when it is made.

    Parameters
    ----------
    cfg : Config
        That the network was trained with.
    classes : sequence of str
        In the order of the probabilities.
    threshold : float
        Of the probability of the second of 2 classes.
    state : mapping of str to Tensor
        The network's weights.

    Attributes
    ----------
    network : nn.Module
        Takes normalised float32 [B, C, H, W], gives logits.

    Raises
    ------
    WeightsError
        The weights are not those of this network.
    """

    def __init__(
        self, cfg: Config, *, classes: Sequence[str], threshold: float, state: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.data, self.classes, self.threshold = cfg.images, tuple(classes), threshold
        # Weights that a training started from are behind it, and their file may be gone.
        self.network = build_network(cfg.replace("model", weights=None), num_outputs=len(self.classes))
        try:
            self.network.load_state_dict(dict(state))
        except RuntimeError as error:
            raise WeightsError(f"these weights do not fit the run's settings: {error}") from None
        self._transform = build_transform(cfg.images, train=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, and predict.

        Parameters
        ----------
        images : Tensor [B, C, H, W], uint8
            Of the size and channels in ``data``; `fedtwin.predict` brings others to them.

        Returns
        -------
        Tensor [B, classes], float32
            Probabilities.

        Raises
        ------
        DataError
            Another type or shape.
        """
        expected = (self.data.channels, self.data.image_size, self.data.image_size)
        if images.dtype != torch.uint8 or images.shape[1:] != expected:
            raise DataError(
                f"expected images of type torch.uint8 and shape [B, {', '.join(map(str, expected))}], got "
                f"{images.dtype} and {list(images.shape)}"
            )
        logits: Tensor = self.network(self._transform(images))
        return logits.float().softmax(dim=1)
