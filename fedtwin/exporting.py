"""`export_model`: a trained model as a file for other programs, checked against the original on real rows."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import shared.runtime.fast_imports  # noqa: F401 - before what it imports

import numpy as np
import torch
from torch import Tensor, nn

from fedtwin.models import load_model
from fedtwin.places import Place
from fedtwin.records import Run
from fedtwin.registry import find_run
from shared.config.stored import read_snapshot
from shared.data.images.augment import build_transform
from shared.data.row_keys import other_rows, row_keys
from shared.model.autoencoder import Rebuilding
from shared.model.centroids import CentroidNetwork
from shared.model.fitted import FittedNetwork
from shared.model.trees import TreeNetwork
from shared.runtime.errors import ExportError, FedtwinError
from shared.runtime.export_formats import SUFFIXES, unavailable
from shared.runtime.files import replacing
from shared.runtime.secrets import without_secrets
from shared.tasks.anomaly.trained_model import SiteLimitsModel
from shared.tasks.base import FitContext
from shared.tasks.images.trained_model import ImageModel
from shared.tasks.tables.trained_model import TableModel
from shared.tasks.task import learner_of, schema_of_run
from shared.tasks.trained_model import TrainedModel

MOST_DIFFERENCE = 1e-4  # of a prediction, or relative to predictions beyond 1
MOST_CHECKED = 256  # rows
_INPUT, _OUTPUT = "rows", "predictions"


@dataclass(frozen=True)
class Export:
    """A file that predicts what its model does.

    Attributes
    ----------
    difference : float
        Largest difference of a prediction from the original's, relative to predictions beyond 1.
    rows : int
        How many it was checked on.
    """

    path: Path
    format: str
    difference: float
    rows: int
    num_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.format}, {self.num_bytes:,} bytes; on {self.rows} rows it differs from "
            f"the model by {self.difference:.1e} at most ({MOST_DIFFERENCE:.0e} is allowed)"
        )


def export_model(
    run: int | str | Run, path: str | Path, *, format: str, rows: Any = None, store: Place = None
) -> Export:
    """Write a model to a file, and check that the file predicts what the model does.

    Parameters
    ----------
    run : int, str or Run
        See `fedtwin.load_model`.
    path : str or Path
        The file; it is there only if the check held.
    format : {"pt2", "onnx", "safetensors", "json", "executorch"}
        ``torch.export``, ONNX, the weights alone; JSON of trees and clusters.
    rows : optional
        What it is checked on, see `fedtwin.predict`; by default the first test rows of its run.
    store : str or Path, optional
        See `fedtwin.compare`.

    Raises
    ------
    ExportError
        The format is not available, or not for this model; or a prediction differs by more than
        `MOST_DIFFERENCE`.
    FedtwinError
        As for `load_model`; the run's data is not here, or has changed.
    """
    if format not in SUFFIXES:
        raise ExportError(f"expected one of the formats {', '.join(SUFFIXES)}, got {format!r}")
    if why := unavailable(format):
        raise ExportError(why)
    found = find_run(run, store=store)
    model = load_model(found)
    if not isinstance(model, ImageModel | TableModel):
        raise ExportError(
            f"run {found.id}: models of images and of tables can be exported, this is a {type(model).__name__}"
        )
    if format not in (known := formats_of(model)):
        kind = type(model.network).__name__
        raise ExportError(f"a {kind} cannot be exported as {format}; expected {', '.join(known)}")
    inputs = _rows_to_check(found, model, rows)
    expected = _predictions(model, inputs)
    target = Path(path).expanduser().absolute()
    with tempfile.TemporaryDirectory(prefix="fedtwin-export-") as folder:
        written = Path(folder) / f"model{SUFFIXES[format]}"
        try:
            with _quiet():
                predict = _WRITERS[format](found, model, inputs, written)
                got = predict(inputs)
        except FedtwinError:
            raise
        except Exception as error:  # exporters and runtimes raise anything, such as of operations they lack
            first = str(error).strip().partition("\n")[0]
            raise ExportError(
                f"a {type(model.network).__name__} cannot be exported as {format}: "
                f"{type(error).__name__}: {first}"
            ) from error
        difference = _difference(expected, got)
        if not difference <= MOST_DIFFERENCE:
            raise ExportError(
                f"the {format} file does not predict what the model does: the largest difference on "
                f"{len(inputs)} rows is {difference:.2e}, {MOST_DIFFERENCE:.0e} is allowed; nothing was written"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with written.open("rb") as source, replacing(target) as file:
            shutil.copyfileobj(source, file)
    return Export(target, format, difference, len(inputs), target.stat().st_size)


def formats_of(model: TrainedModel) -> tuple[str, ...]:
    """The formats that a model can be exported as, where their packages are installed."""
    if isinstance(model.network, TreeNetwork | CentroidNetwork):
        return ("json",)
    # What judges a score by its control limit is NumPy, which is no part of a file.
    if isinstance(model.network, FittedNetwork | Rebuilding) or isinstance(model, SiteLimitsModel):
        return ("safetensors",)
    return ("pt2", "onnx", "safetensors", "executorch")


class _Whole(nn.Module):
    """A model from its inputs, prepared inside, to its predictions; of tables in torch alone."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.network = deepcopy(model.network).to(memory_format=torch.contiguous_format)
        self._predictions = model.predicted
        self._prepare: Callable[[Tensor], Tensor] = model.prepare
        if isinstance(model, ImageModel):  # not every runtime knows how to lay memory out
            self._prepare = build_transform(model.data, train=False, channels_last=False)
        elif isinstance(model, TableModel) and not isinstance(model.network, TreeNetwork | CentroidNetwork):
            self.preparation = _TablePreparation(model)
            self._prepare = self.preparation

    def forward(self, rows: Tensor) -> Tensor:
        results: Tensor = self.network(self._prepare(rows))
        return self._predictions(results.float())


class _TablePreparation(nn.Module):
    """What `Preparation` does, as operations that can be exported; the check compares both."""

    def __init__(self, model: TableModel) -> None:
        super().__init__()
        preparation = model.preparation
        assert preparation is not None
        self._numbers, self._categories = preparation.numbers, preparation.categories
        self._first, self._indicates = preparation.first_level, preparation.indicates
        self._of_sites = bool(preparation.sites)
        for name in ("means", "centers", "scales"):
            self.register_buffer(name, torch.from_numpy(getattr(preparation, name)))

    def forward(self, rows: Tensor) -> Tensor:
        numbers = rows[:, self._numbers]
        own = [getattr(self, name) for name in ("means", "centers", "scales")]
        means, centers, scales = [one[rows[:, -1].long()] if self._of_sites else one[0] for one in own]
        gaps = torch.isnan(numbers)
        parts = [(torch.where(gaps, means, numbers) - centers) / scales]
        if self._indicates:
            parts.append(gaps.to(rows.dtype))
        for place, count in self._categories:
            levels = torch.arange(self._first, count, dtype=rows.dtype)
            parts.append((rows[:, place : place + 1] == levels).to(rows.dtype))  # false for NaN
        return torch.cat(parts, dim=1).float()


def _rows_to_check(run: Run, model: ImageModel | TableModel, rows: Any) -> Tensor:
    if rows is not None:
        read = list(islice((row for _, row in model.read(rows)), MOST_CHECKED))
        if not read:
            raise ExportError("there are no rows to check the file on")
        return torch.from_numpy(np.stack(read))
    cfg = read_snapshot(run.config)
    try:
        data: Any = learner_of(cfg).dataset(cache=run.home.cache)
    except FedtwinError as error:
        raise ExportError(
            f"the file is checked on test rows of run {run.id}, which cannot be read: {error}\npass others "
            "with --rows FILE (or rows=)"
        ) from None
    kept = {"test": (run.row.summary.get("row_keys") or {}).get("test")}
    if kept["test"] and other_rows(kept, row_keys(data), when="then", at_present="now"):
        raise ExportError(f"the data of run {run.id} has changed since: pass rows with --rows FILE (or rows=)")
    test = data.indices("test")[:MOST_CHECKED]
    if isinstance(model, ImageModel):
        return torch.from_numpy(np.ascontiguousarray(data.images[test]))
    if model.windows is not None:
        test = data.windows(model.windows.length)[test]
    inputs = np.asarray(data.inputs[test], dtype=np.float64)
    if len(model.columns) > inputs.shape[-1]:
        inputs = np.concatenate([inputs, data.sites.numbers[test][..., None]], axis=-1)
    return torch.from_numpy(inputs)


def _predictions(module: nn.Module, rows: Tensor) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        found: np.ndarray[Any, Any] = module(rows).numpy()
    return found


def _difference(expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> float:
    if expected.shape != got.shape or not np.isfinite(got).all():
        return float("inf")
    scale = np.maximum(1.0, np.abs(expected))
    return float(np.max(np.abs(expected - got) / scale, initial=0.0))


Predict = Callable[[Tensor], np.ndarray[Any, Any]]


def _program(model: TrainedModel, rows: Tensor) -> Any:
    # Two rows: of one, the number would be taken for a constant.
    example = rows[:2] if len(rows) > 1 else torch.cat([rows, rows])
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(_Whole(model).eval(), (example,), dynamic_shapes=({0: batch},))


def _write_pt2(run: Run, model: TrainedModel, rows: Tensor, path: Path) -> Predict:
    about = {"fedtwin.json": json.dumps(_about(run, model))}
    torch.export.save(_program(model, rows), path, extra_files=about)
    loaded = torch.export.load(path).module()
    return lambda given: _predictions(loaded, given)


def _write_onnx(run: Run, model: TrainedModel, rows: Tensor, path: Path) -> Predict:
    import onnxruntime

    program = torch.onnx.export(
        _program(model, rows), input_names=[_INPUT], output_names=[_OUTPUT], dynamo=True, verbose=False
    )
    assert program is not None
    program.model.metadata_props["fedtwin"] = json.dumps(_about(run, model))
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda given: np.asarray(session.run([_OUTPUT], {_INPUT: given.numpy()})[0])


def _write_executorch(run: Run, model: TrainedModel, rows: Tensor, path: Path) -> Predict:
    from executorch.exir import to_edge
    from executorch.runtime import Runtime

    one = torch.export.export(_Whole(model).eval(), (rows[:1],))  # a device predicts row by row
    path.write_bytes(to_edge(one).to_executorch().buffer)
    method = Runtime.get().load_program(path).load_method("forward")
    assert method is not None

    def predict(given: Tensor) -> np.ndarray[Any, Any]:
        # Its outputs are the runtime's own memory, which the next call overwrites.
        parts = [method.execute([row[None].contiguous()])[0].clone() for row in given]
        return np.asarray(torch.cat(parts).numpy())

    return predict


def _write_safetensors(run: Run, model: TrainedModel, rows: Tensor, path: Path) -> Predict:
    from safetensors.torch import load_file, save_file

    state = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    save_file(state, path, metadata={"fedtwin": json.dumps(_about(run, model))})
    return _anew(run, lambda network: network.load_state_dict(load_file(path)))


def _write_json(run: Run, model: TrainedModel, rows: Tensor, path: Path) -> Predict:
    if isinstance(model.network, TreeNetwork):
        from shared.trees.format import load, save

        save(model.network.model, path)

        def take(network: Any) -> None:
            network.model = load(path)

        return _anew(run, take)
    assert isinstance(model.network, CentroidNetwork)
    found = model.network.found
    values = {"centroids": found.places.tolist(), "sizes": found.sizes.tolist()}
    content = {"format": "fedtwin-centroids", "version": 1, **_about(run, model), **values}
    path.write_text(json.dumps(content, allow_nan=False))

    def take_centroids(network: Any) -> None:
        read = json.loads(path.read_text())
        network.centroids.copy_(torch.tensor(read["centroids"], dtype=torch.float64))
        network.sizes.copy_(torch.tensor(read["sizes"]))

    return _anew(run, take_centroids)


_WRITERS: dict[str, Callable[[Run, TrainedModel, Tensor, Path], Predict]] = {
    "pt2": _write_pt2,
    "onnx": _write_onnx,
    "safetensors": _write_safetensors,
    "json": _write_json,
    "executorch": _write_executorch,
}


def _anew(run: Run, take: Callable[[Any], Any]) -> Predict:
    """What a new model predicts whose network takes what is in a file."""
    cfg = read_snapshot(run.config).replace("model", weights=None).replace("trainer", compile=False)
    learner: Any = learner_of(cfg)
    schema, summary = schema_of_run(run.row), run.row.summary
    module = learner.module(schema, FitContext(agreed=summary.get("agreed") or {}))
    take(learner.network(module))
    model = learner.trained_model(module, schema, threshold=summary.get("threshold", 0.5))
    return lambda given: _predictions(model, given)


def _about(run: Run, model: TrainedModel) -> dict[str, Any]:
    """What whoever loads the file must know: inputs, outputs, and where it is from."""
    schema = run.row.summary.get("schema") or {"classes": list(model.classes)}
    about: dict[str, Any] = {
        "run": run.id,
        "name": run.name,
        "task": run.config["task"].get("name"),
        "classes": list(model.classes),
        "threshold": model.threshold,
        "schema": schema,
        "agreed": run.row.summary.get("agreed") or {},
        "data": without_secrets({k: v for k, v in run.config["data"].items() if k != "path"}),
        "model": {k: v for k, v in run.config["model"].items() if k != "weights"},
    }
    if isinstance(model, ImageModel):
        side = model.data.image_size
        about["input"] = f"uint8 [batch, {model.data.channels}, {side}, {side}]"
    elif isinstance(model, TableModel):
        about["input"] = f"float64 [batch, {', '.join(map(str, model.row_shape))}]"
        about["columns"] = [column.name for column in model.columns]
    return about


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters warn of themselves: the check on real rows decides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
