"""Test images that a classifier got wrong, or was least sure of, with their probabilities."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Literal

from service.read.run_config import setting
from shared.runtime.home import Home
from shared.tracking.rows import RunRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shared.data.images.dataset import ImageData
    from shared.metrics.outputs import Outputs

Kind = Literal["wrong", "uncertain"]
MOST_PIXELS = 256  # of a side
TASK = "image_classification"


class NotShown(Exception):
    """Why images of a run are not shown."""

    def __init__(self, reason: str, *, forbidden: bool = False) -> None:
        super().__init__(reason)
        self.forbidden = forbidden


def examples(home: Home, run: RunRow, *, kind: Kind, limit: int) -> dict[str, Any]:
    """The images, those first that are most worth a look.

    Parameters
    ----------
    kind : {"wrong", "uncertain"}
        Wrong: the surest mistakes first. Uncertain: the smallest distance from another answer first.

    Returns
    -------
    dict
        See `service.api.run_file_schemas.Examples`.

    Raises
    ------
    NotShown
        The run is of a deployment, is no classification of images, or its data or predictions are not here or
        are not those that it was tested on.
    """
    if setting(run.config, "federation.kit"):
        raise NotShown(f"run {run.id} is of a deployment: images of its sites are not shown", forbidden=True)
    if (setting(run.config, "task.name") or TASK) != TASK:
        raise NotShown(f"run {run.id} does not classify images")
    outputs = _outputs(home, run)
    data = _data(home, run)
    rows = data.indices("test")
    if outputs.targets.tolist() != data.targets[rows].tolist():
        raise NotShown(f"the test images of run {run.id} are not those that are at {data.origin} now")
    predicted, order, total = _order(outputs, kind)
    classes = data.schema.classes
    shown = [
        {
            "row": place,
            "true": classes[int(outputs.targets[place])],
            "predicted": classes[int(predicted[place])],
            "probabilities": [round(float(one), 6) for one in outputs.predictions[place]],
            "image": _png(data.images[rows[place]]),
        }
        for place in order[:limit]
    ]
    return {"classes": list(classes), "threshold": outputs.threshold, "total": total, "examples": shown}


def _outputs(home: Home, run: RunRow) -> Outputs:
    from shared.metrics.outputs import OUTPUTS_FILE, Outputs, UnreadableOutputs

    try:
        found = Outputs.load(home.run_dir(run.id) / OUTPUTS_FILE).of_classes()
    except FileNotFoundError:
        raise NotShown(f"run {run.id} has no predictions on this machine: not tested here") from None
    except UnreadableOutputs as error:
        raise NotShown(f"the predictions of run {run.id} cannot be read: {error}") from None
    if not found.is_finite:
        raise NotShown(f"some probabilities of run {run.id} are not finite")
    return found


def _data(home: Home, run: RunRow) -> ImageData:
    from shared.config.stored import read_snapshot
    from shared.data.dataset import SIDES
    from shared.data.images.dataset import load_images
    from shared.runtime.errors import ConfigError, DataError
    from shared.tasks.image_classification.data import read_classes

    try:
        cfg = read_snapshot(run.config).images
        if cfg.source == "medmnist" and not cfg.path and not (home.cache / "medmnist").is_dir():
            raise DataError("the data set is not here, and a page downloads none")
        return load_images(
            cfg,
            cache_dir=home.cache,
            read_targets=read_classes,
            sides=("test",) if run.training_mode == "federated" else SIDES,
            decode=False,
        )
    except (ConfigError, DataError, OSError) as error:
        raise NotShown(f"the images of run {run.id} are not here: {error}") from None


def _order(outputs: Outputs, kind: Kind) -> tuple[npt.NDArray[np.int64], list[int], int]:
    """Predicted classes, the rows in their order, and how many there are."""
    import numpy as np

    from shared.metrics.classification import ClassificationMetrics

    probabilities = outputs.predictions.astype(np.float64)
    predicted = ClassificationMetrics(outputs.num_classes).predicted(outputs)
    if outputs.num_classes == 2:
        margin = np.abs(probabilities[:, 1] - outputs.threshold)
    else:
        ordered = np.sort(probabilities, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
    if kind == "uncertain":
        return predicted, np.argsort(margin, kind="stable").tolist(), len(outputs)
    wrong = np.flatnonzero(predicted != outputs.targets)
    surest = wrong[np.argsort(-margin[wrong], kind="stable")]
    return predicted, surest.tolist(), len(wrong)


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    """An image [C, H, W] as a ``data:`` address."""
    from PIL import Image

    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
