"""`TensorBoard`: writes runs as event files, in a folder each, below the folder of their comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from service.integrations.cut_file import append, make_folder
from service.integrations.tracker import Details, State, TrackerRefused, metric_key, metric_step
from shared.runtime.errors import ConfigError
from shared.tracking.rows import MODE_NAMES, MetricRow, RunRow


class TensorBoard:
    """A folder of event files, as ``tensorboard --logdir`` reads it.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Raises
    ------
    ConfigError
        The package ``tensorboard`` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.hparams import summary_v2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise ConfigError(
                f"event files need the package tensorboard ({error}): pip install 'fedtwin[tensorboard]'"
            ) from None
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._hparams, self._writer = summary_v2.hparams_pb, RecordWriter
        self._folder = folder.absolute()

    @property
    def target(self) -> str:
        """The folder."""
        return f"TensorBoard in {self._folder}"

    def begin(self, details: Details, *, key: str, parent: State | None) -> State:
        """Make the run's folder, and its file with its settings."""
        run = details.run
        name = re.sub(r"[^\w.-]+", "-", run.name)[:60]
        folder = (
            Path(str(parent["folder"]) if parent else "") / f"{run.id}-{MODE_NAMES[run.training_mode]}-{name}"
        )
        place = self._folder / folder
        make_folder(place)
        if any(not path.name.endswith(key) for path in place.glob("events.out.tfevents.*")):
            raise TrackerRefused(f"{place} holds the run of another database; choose another folder")
        file = folder / f"events.out.tfevents.{int(run.started.timestamp()):010d}.fedtwin.{key}"
        began = run.started.timestamp()
        settings = self._hparams({k: _number(v) for k, v in details.settings.items()}, trial_id=key)
        events = [
            self._event(wall_time=began, file_version="brain.Event:2"),
            self._event(wall_time=began, summary=settings),
        ]
        state = {"folder": str(folder), "file": str(file), "size": 0, "results": {}}
        return self._append(events, state=state)

    def add(self, rows: Sequence[MetricRow], *, run: RunRow, state: State) -> State:
        """Append scalars."""
        return self._append(
            (self._scalar(metric_key(r), r.value, metric_step(r), r.time.timestamp()) for r in rows),
            state=state,
        )

    def update(self, details: Details, *, state: State) -> State:
        """Append results that are new; files, names and tags have no place in event files."""
        if not details.run.ended or state["results"] == details.results:
            return state
        time = details.run.ended.timestamp()
        new = {k: v for k, v in details.results.items() if state["results"].get(k) != v}
        written = self._append((self._scalar(k, v, 0, time) for k, v in new.items()), state=state)
        return {**written, "results": details.results}

    def _scalar(self, name: str, value: float, step: int, time: float) -> Any:
        values = [self._summary.Value(tag=name, simple_value=value)]
        return self._event(wall_time=time, step=step, summary=self._summary(value=values))

    def _append(self, events: Iterable[Any], *, state: State) -> dict[str, Any]:
        def write(file: BinaryIO) -> None:
            writer = self._writer(file)
            for event in events:
                writer.write(event.SerializeToString())

        return {**state, "size": append(self._folder / str(state["file"]), write, size=int(state["size"]))}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
