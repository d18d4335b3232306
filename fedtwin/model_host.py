"""``python -m fedtwin.model_host``: keeps models warm and answers the service: predict, compare, export.

A line of JSON on standard input is a request, a line on standard output its answer. The service starts it, and
its end of input ends it.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import shared.runtime.fast_imports  # noqa: F401 - before what it imports

from fedtwin.checkpoints import find_model
from fedtwin.models import load_model
from fedtwin.records import load_run
from fedtwin.registry import compared
from shared.metrics.catalogue import naming
from shared.metrics.difference import difference_record, difference_sentence
from shared.runtime.errors import ConfigError, DataError, ExportError, FedtwinError
from shared.runtime.home import keep_private
from shared.tasks.images.trained_model import ImageModel
from shared.tasks.tables.trained_model import TableModel
from shared.tasks.trained_model import Row, TrainedModel
from shared.tracking.rows import json_ready
from shared.tracking.twins import positive_class

MOST_MODELS = 4  # that are kept in memory; the one that was used longest ago goes first


class TooManyRows(DataError):
    """More rows than one request may have."""


class Models:
    """The models that were asked for last, by run and by the state of its file."""

    def __init__(self, *, most: int = MOST_MODELS) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, int, int], TrainedModel] = OrderedDict()

    def get(self, run_id: int) -> TrainedModel:
        """The model of a run, from memory or from its file.

        Raises
        ------
        FedtwinError
        """
        run = load_run(run_id)
        found = find_model(run).stat()
        key = (run_id, found.st_mtime_ns, found.st_size)
        if key not in self._kept:
            model = load_model(run)
            if not isinstance(model, TrainedModel):
                raise ConfigError(
                    f"how rows become the inputs of {type(model).__name__}, only its own code knows; give its "
                    "task's learner a trained_model (docs/extending.md)"
                )
            self._kept[key] = model
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def predict(models: Models, request: dict[str, Any]) -> dict[str, Any]:
    """Predict for the rows in a file, or for those in a body of JSON.

    Raises
    ------
    FedtwinError
    """
    model = models.get(request["run_id"])
    path, most = Path(request["path"]), request["most_rows"]
    if request["kind"] == "json":
        rows = _of_json(model, path)
    else:
        _check_kind(model, request["kind"])
        rows = model.read(path)
    return {"noun": (done := model.predict_read(_counted(rows, most))).noun, "predictions": done.records()}


def compare(models: Models, request: dict[str, Any]) -> dict[str, Any]:
    """Compare two runs; see `fedtwin.registry.compare_versions`.

    Raises
    ------
    FedtwinError
    """
    runs = [request["first"], request["second"]]
    with naming(positive_class([load_run(run_id).row for run_id in runs])):
        records = [difference_record(row) for row in compared(*runs, confidence=request["confidence"])]
        sentence = difference_sentence(records, first=request["names"][0], second=request["names"][1])
    return {"sentence": sentence, "metrics": records}


def export(models: Models, request: dict[str, Any]) -> dict[str, Any]:
    """Export a run's model to a file; see `fedtwin.exporting.export_model`.

    Raises
    ------
    FedtwinError
    """
    from fedtwin.exporting import export_model  # slower to import than a prediction takes

    done = export_model(request["run_id"], request["path"], format=request["format"])
    return {"format": done.format, "bytes": done.num_bytes, "difference": done.difference, "rows": done.rows}


OPERATIONS: dict[str, Callable[[Models, dict[str, Any]], dict[str, Any]]] = {
    "predict": predict,
    "compare": compare,
    "export": export,
}


def answer(models: Models, request: dict[str, Any]) -> dict[str, Any]:
    """The result of a request, or its error."""
    try:
        return {"result": json_ready(OPERATIONS[request["op"]](models, request))}
    except FedtwinError as error:
        return {"error": {"kind": _kind(error), "detail": str(error)}}
    except Exception:
        traceback.print_exc()
        return {"error": {"kind": "internal", "detail": "the request failed; see the server's log"}}


def main() -> None:
    """Answer requests until the input ends."""
    keep_private()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    models = Models()
    for line in sys.stdin.buffer:
        out.write(json.dumps(answer(models, json.loads(line)), allow_nan=False).encode() + b"\n")
        out.flush()


def _kind(error: FedtwinError) -> str:
    kinds = (TooManyRows, DataError, ConfigError, ExportError, FedtwinError)
    return next(kind.__name__ for kind in kinds if isinstance(error, kind))


def _counted(rows: Iterator[Row], most: int) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number >= most:
            raise TooManyRows(f"a request has at most {most:,} rows; send them in several")
        yield row


def _check_kind(model: TrainedModel, kind: str) -> None:
    wanted = "image" if isinstance(model, ImageModel) else "table" if isinstance(model, TableModel) else None
    if wanted is not None and kind != wanted:
        raise DataError(f"this model takes {'images' if wanted == 'image' else 'rows of a table'}, got {kind}")


def _of_json(model: TrainedModel, path: Path) -> Iterator[Row]:
    try:
        body = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict) or set(body) not in ({"rows"}, {"images"}):
        raise DataError('expected {"rows": [{"column": value, ...}, ...]} or {"images": ["base64", ...]}')
    if "images" in body:
        _check_kind(model, "image")
        return _of_images(model, body["images"])
    _check_kind(model, "table")
    return _of_rows(model, body["rows"])


def _of_rows(model: TrainedModel, rows: Any) -> Iterator[Row]:
    import pandas as pd

    flat = (str, int, float, bool, type(None))
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and all(isinstance(value, flat) for value in row.values()) for row in rows
    ):
        raise DataError("rows: expected a list of objects, each with texts, numbers, true, false or null")
    if not rows:
        raise DataError("rows: expected one or more")
    return model.read(pd.DataFrame(rows))


def _of_images(model: TrainedModel, images: Any) -> Iterator[Row]:
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise DataError("images: expected a list of images in base64")
    if not images:
        raise DataError("images: expected one or more")
    with tempfile.TemporaryDirectory(prefix="fedtwin-predict-") as folder:
        path = Path(folder) / "image"  # what it is, its first bytes say
        for number, text in enumerate(images):
            try:
                path.write_bytes(base64.b64decode(text, validate=True))
            except ValueError:
                raise DataError(f"image {number}: this is not base64") from None
            try:
                yield from ((str(number), pixels) for _, pixels in model.read(path))
            except DataError as error:
                raise DataError(f"image {number}: {error}") from None


if __name__ == "__main__":
    main()
