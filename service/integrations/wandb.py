"""`WandB`: writes runs as Weights & Biases does in its offline mode, for ``wandb sync``; it sends nothing."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from service.integrations.cut_file import append, make_folder
from service.integrations.tracker import Details, State, metric_key, metric_step
from shared.runtime.errors import ConfigError
from shared.tracking.rows import MODE_NAMES, MetricRow, RunRow

# Importing the package must tell its makers nothing.
_ENVIRONMENT = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
_EXIT_CODES = {"completed": 0, "failed": 1, "stopped": 255}  # 255: W&B calls such a run killed
_GROUPS = ("compare", "sweep")
_LONGEST_NAME, _LONGEST_TAG = 128, 64  # characters that W&B takes
_STEP = "step"  # the metric against which the others are drawn: the round, or the epoch

_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK, _HEAD = 32768, struct.Struct("<IHB")  # of LevelDB's log: checksum, length, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class WandB:
    """A folder of runs in W&B's offline format, for ``wandb sync``.

    A run's file has its settings and rows, in the order in which they came, and then what may still change:
    name, tags, results, and how it ended. That end is written anew with each change.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    project : str

    Raises
    ------
    ConfigError
        The package ``wandb`` is not installed.
    """

    def __init__(self, folder: Path, *, project: str) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from wandb.proto import wandb_internal_pb2
        except ImportError as error:
            raise ConfigError(
                f"files of Weights & Biases need the package wandb ({error}): pip install 'fedtwin[wandb]'"
            ) from None
        self._proto: Any = wandb_internal_pb2
        self._folder, self._project = folder.absolute(), project

    @property
    def target(self) -> str:
        """The folder and the project."""
        return f"Weights & Biases in {self._folder}, project {self._project}"

    def begin(self, details: Details, *, key: str, parent: State | None) -> State:
        """Make the run's folder, and its file with its settings."""
        run, proto = details.run, self._proto
        folder = Path("wandb") / f"offline-run-{run.started:%Y%m%d_%H%M%S}-{key}"
        make_folder(self._folder / folder / "files")
        own = f"{run.id} {run.name}"[:_LONGEST_NAME] if run.training_mode in _GROUPS else ""
        state = {
            "key": key,
            "file": str(folder / f"run-{key}.wandb"),
            "group": parent["group"] if parent else own,
            "size": 0,
            "records": 0,
            "rows": 0,
        }
        settings = {"fedtwin.run": str(run.id), "fedtwin.seed": str(run.seed), **details.settings}
        items = [proto.ConfigItem(key=name, value_json=_json(text)) for name, text in settings.items()]
        told = proto.MetricOptions(defined=True)
        records = [
            {"run": self._run(run, state)},
            {"config": proto.ConfigRecord(update=items)},
            {"metric": proto.MetricRecord(name=_STEP, options=told)},
            {"metric": proto.MetricRecord(glob_name="*", step_metric=_STEP, options=told)},
        ]
        return self._append(records, state=state)

    def add(self, rows: Sequence[MetricRow], *, run: RunRow, state: State) -> State:
        """Append rows, each as a step of W&B's own count, which may only grow."""
        first = int(state["rows"])
        records = [{"history": self._history(row, number=number)} for number, row in enumerate(rows, first)]
        newest = {metric_key(row): row.value for row in rows}
        written = self._append([*records, {"summary": self._summary(newest)}], state=state)
        return {**written, "rows": first + len(rows)}

    def update(self, details: Details, *, state: State) -> State:
        """Write name, note, tags, results and end behind the rows; files have no place here."""
        run = details.run
        results = {**details.results, "status": run.status, **({"error": run.error} if run.error else {})}
        records = [{"run": self._run(run, state)}, {"summary": self._summary(results)}]
        if run.finished:
            runtime = int(run.seconds or 0)
            records.append(
                {"exit": self._proto.RunExitRecord(exit_code=_EXIT_CODES[run.status], runtime=runtime)}
            )
        self._append(records, state=state)
        return state  # whose length leaves this end out: rows of a run that is resumed take its place

    def _run(self, run: RunRow, state: State) -> Any:
        record = self._proto.RunRecord(
            run_id=state["key"],
            project=self._project,
            run_group=state["group"],
            job_type=MODE_NAMES[run.training_mode],
            display_name=run.name[:_LONGEST_NAME],
            notes=run.description,
            tags=[tag[:_LONGEST_TAG] for tag in run.tags],
        )
        record.start_time.FromDatetime(run.started)
        return record

    def _history(self, row: MetricRow, *, number: int) -> Any:
        values = {
            metric_key(row): row.value,
            _STEP: metric_step(row),
            "_step": number,
            "_timestamp": row.time.timestamp(),
        }
        items = [
            self._proto.HistoryItem(key=name, value_json=json.dumps(value)) for name, value in values.items()
        ]
        return self._proto.HistoryRecord(item=items, step=self._proto.HistoryStep(num=number))

    def _summary(self, values: Mapping[str, Any]) -> Any:
        items = [
            self._proto.SummaryItem(key=name, value_json=json.dumps(value)) for name, value in values.items()
        ]
        return self._proto.SummaryRecord(update=items)

    def _append(self, records: Iterable[dict[str, Any]], *, state: State) -> dict[str, Any]:
        numbered = [
            self._proto.Record(num=number, **record).SerializeToString()
            for number, record in enumerate(records, int(state["records"]) + 1)
        ]

        def write(file: BinaryIO) -> None:
            if not file.tell():
                file.write(_HEADER)
            for content in numbered:
                file.write(b"".join(framed(content, at=file.tell())))

        size = append(self._folder / str(state["file"]), write, size=int(state["size"]))
        return {**state, "size": size, "records": int(state["records"]) + len(numbered)}


def framed(content: bytes, *, at: int) -> Iterator[bytes]:
    """A record of LevelDB's log format, with W&B's checksum: in pieces, none of which crosses a block.

    Parameters
    ----------
    at : int
        Where in the file it begins.
    """
    first, last = _FIRST, _FULL  # what the next piece is, if it is not the last one or if it is
    if (room := _BLOCK - at % _BLOCK) < _HEAD.size:  # no piece begins there
        yield bytes(room)
        at += room
    while True:
        room = _BLOCK - at % _BLOCK - _HEAD.size
        piece, content = content[:room], content[room:]
        kind = first if content else last
        yield _HEAD.pack(zlib.crc32(piece, zlib.crc32(bytes([kind]))), len(piece), kind) + piece
        if not content:
            return
        at += _HEAD.size + len(piece)
        first, last = _MIDDLE, _LAST


def _json(text: str) -> str:
    """A setting as W&B has it: numbers and lists as such."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text
