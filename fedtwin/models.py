"""`load_model` and `predict`: the model that a run chose, and what it says about new images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedtwin.places import Place
from fedtwin.records import Run, load_run

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from shared.config.data import ImageDataConfig
    from shared.data.images.reading import Named
    from shared.model.trained_model import TrainedModel


@dataclass(frozen=True)
class Predictions:
    """What a model says about images.

    Attributes
    ----------
    names : tuple of str
        Of the files, or the numbers of the images from 0.
    classes : tuple of str
    probabilities : ndarray [N, classes], float32
    threshold : float
        Of the probability of the second of 2 classes; the class with the highest probability wins otherwise.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] = field(repr=False)
    threshold: float

    @property
    def labels(self) -> list[str]:
        """The predicted class of each image."""
        if len(self.classes) == 2:
            chosen = (self.probabilities[:, 1] > self.threshold).astype(int)
        else:
            chosen = self.probabilities.argmax(axis=1)
        return [self.classes[index] for index in chosen]

    def frame(self) -> pd.DataFrame:
        """One row an image, by name: ``prediction``, and the probability of each class."""
        import pandas as pd

        frame = pd.DataFrame(
            self.probabilities, columns=list(self.classes), index=pd.Index(self.names, name="image")
        )
        frame.insert(0, "prediction", self.labels, allow_duplicates=True)
        return frame

    def _repr_html_(self) -> str:
        return self.frame().to_html()


def load_model(run: int | Run, *, store: Place = None) -> TrainedModel:
    """The model that a run chose, with its preprocessing, on the CPU and in evaluation mode.

    Parameters
    ----------
    run : int or Run
        Of centralized or federated training. While it is running, its best model so far.
    store : str or Path, optional
        See `fedtwin.compare`; not needed for a `Run`.

    Returns
    -------
    TrainedModel
        A ``torch.nn.Module``: uint8 images [B, C, H, W] in, probabilities [B, classes] out. Its ``network``
        gives logits; ``classes`` names the columns.

    Raises
    ------
    TrackingError
        There is no such run, or it is a comparison, has no model, or trained another task than image
        classification.
    FedtwinError
        Its checkpoint is missing or damaged.

    Examples
    --------
    >>> model = fedtwin.load_model(3)
    >>> model(images).argmax(dim=1)
    """
    run = run if isinstance(run, Run) else load_run(run, store=store)
    from fedtwin.checkpoints import read_state
    from shared.config.stored import read_snapshot
    from shared.model.trained_model import TrainedModel
    from shared.runtime.errors import TrackingError

    cfg = read_snapshot(run.config)
    if cfg.task.name != "image_classification":
        raise TrackingError(
            f"run {run.id} trained task={cfg.task.name}; load_model and predict need task=image_classification"
        )
    state = read_state(run)
    threshold = run.row.summary.get("threshold", cfg.trainer.fixed_threshold)
    return TrainedModel(cfg, classes=run.row.summary["classes"], threshold=threshold, state=state)


def predict(run: int | Run | TrainedModel, images: Any, *, store: Place = None) -> Predictions:
    """Predict with the model that a run chose.

    Images are decoded, resized and normalised as those were that the model was trained on.

    Parameters
    ----------
    run : int, Run or TrainedModel
    images : str, Path, ndarray, Tensor, or sequence of str, Path or PIL.Image.Image
        An image file, a folder or a ZIP, whose images are all read; several files; images in memory: uint8
        arrays [N, H, W], [N, C, H, W] or [N, H, W, C] of any size, or Pillow's.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    DataError
        An image cannot be read (all such are named), or is of another kind.
    FedtwinError
        As for `load_model`.

    Examples
    --------
    >>> fedtwin.predict(3, "new_xrays/").frame()
    """
    from shared.model.trained_model import TrainedModel

    model = run if isinstance(run, TrainedModel) else load_model(run, store=store)
    names, parts = [], []
    import numpy as np
    import torch

    with torch.inference_mode():
        for batch in _batches(_read(images, model.data), size=model.data.eval_batch_size):
            names += [name for name, _ in batch]
            pixels = torch.from_numpy(np.stack([image for _, image in batch]))
            parts.append(model(pixels).numpy())
    empty = np.zeros((0, len(model.classes)), dtype=np.float32)
    return Predictions(tuple(names), model.classes, np.concatenate([empty, *parts]), model.threshold)


def _read(images: Any, cfg: ImageDataConfig) -> Iterator[Named]:
    from PIL import Image

    from shared.data.images.reading import from_array, from_picture, read_path

    if isinstance(images, str | Path):
        yield from read_path(Path(images), cfg=cfg)
    elif isinstance(images, Sequence) and images and all(isinstance(one, str | Path) for one in images):
        for path in images:
            yield from ((str(path), pixels) for _, pixels in read_path(Path(path), cfg=cfg))
    elif isinstance(images, Sequence) and images and all(isinstance(one, Image.Image) for one in images):
        yield from ((str(number), from_picture(image, cfg=cfg)) for number, image in enumerate(images))
    else:
        yield from ((str(number), image) for number, image in enumerate(from_array(images, cfg=cfg)))


def _batches(images: Iterable[Named], *, size: int) -> Iterator[list[Named]]:
    rest = iter(images)
    while batch := list(islice(rest, size)):
        yield batch
