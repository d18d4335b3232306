"""`RunState`: the state of a run, accumulated from the stream's messages."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from service.terminal.stream_client import Message
from shared.metrics.catalogue import LOSS, better

FINISHED = ("completed", "failed", "stopped")
POINTS = 240  # per trend
STEPS = 6  # for the estimate of the remaining time
EVENTS = 50
STALE_S = 30.0  # shortest time without rows before a running run counts as stale
STALE_STEPS = 5.0

Trend = deque[float]
Key = tuple[str, str]  # stage, name


@dataclass(frozen=True, slots=True)
class Event:
    """An event to show; ``time`` in seconds since 1970, ``text`` not sanitized."""

    time: float
    text: str
    bad: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done and in total; ``unit`` is "round" or "epoch"."""

    unit: str
    done: int
    total: int | None


class RunState:
    """State of one run, from the messages so far.

    Parameters
    ----------
    clock : callable
        Seconds since 1970 on this machine.

    Attributes
    ----------
    run : dict or None
        The run's summary, once received.
    ended : bool
        Whether the run has ended and all its rows were received.
    reachable : bool
        Whether the server can read its database.
    aggregates : dict
        Last values of each (stage, name) of the global or pooled model, oldest first; NaN if undefined.
    clients : dict
        Clients by id.
    client_values : dict
        Like ``aggregates``, by client id.
    client_rounds : dict
        Last round by client id.
    rounds : dict
        Round records by round.
    children : dict
        Summaries of the runs of a comparison or a sweep by id.
    """

    def __init__(self, run_id: int, *, clock: Callable[[], float] = time.time) -> None:
        self.run_id = run_id
        self.run: dict[str, Any] | None = None
        self.ended = False
        self.reachable = True
        self.aggregates: dict[Key, Trend] = {}
        self.clients: dict[int, dict[str, Any]] = {}
        self.client_values: dict[int, dict[Key, Trend]] = {}
        self.client_rounds: dict[int, int] = {}
        self.rounds: dict[int, dict[str, Any]] = {}
        self.children: dict[int, dict[str, Any]] = {}
        self._clock = clock
        self._ahead = 0.0  # seconds by which the server's clock is ahead of ours
        self._newest: float | None = None
        self._extremes: dict[Key, tuple[float, float]] = {}
        self._steps: dict[int, float] = {}
        self._events: dict[tuple[Any, ...], Event] = {}

    def apply(self, messages: Iterable[Message]) -> None:
        """Apply messages of the run's stream, or of the stream of all runs.

        Parameters
        ----------
        messages : iterable of dict
            Messages of unknown types and of other runs are ignored.
        """
        for message in messages:
            if message["type"] == "run_status":
                self._take_child(message["run"])
            elif message["type"] == "run_deleted":
                self.children.pop(message["run_id"], None)
            elif message["run_id"] == self.run_id:
                for row in message.get("rows", ()):
                    self._take_row(row)
                self._take(message)

    @property
    def status(self) -> str:
        """The run's status, "unknown" before the first message."""
        return str(self.run["status"]) if self.run else "unknown"

    @property
    def has_children(self) -> bool:
        """Whether the run is a comparison or a sweep, whose values are in ``children``."""
        return self.run is not None and self.run["training_mode"] in ("compare", "sweep")

    @property
    def monitor(self) -> tuple[str, str, bool]:
        """Stage and name of the metric that selects the best model, and whether higher is better."""
        monitor = (self.run or {}).get("monitor") or {"key": f"val/{LOSS}"}
        stage, _, name = str(monitor["key"]).partition("/")
        return stage, name, better(name, mode=monitor.get("mode")) != "lower"

    @property
    def best(self) -> float | None:
        """The best value of the monitored metric so far."""
        stage, name, higher_is_better = self.monitor
        found = [*self._extremes.get((stage, name), ())]
        stored = (self.run or {}).get("best") or {}  # of rows that were not read too
        if stored.get("key") == f"{stage}/{name}":
            found.append(float(stored["value"]))
        return (max if higher_is_better else min)(found, default=None)

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._clock() + self._ahead

    def events(self, count: int) -> list[Event]:
        """The last events.

        Returns
        -------
        list of Event
            Oldest first.
        """
        return sorted(self._events.values(), key=lambda event: event.time)[-count:] if count > 0 else []

    def progress(self) -> Progress | None:
        """Progress of the run; None if unknown, as for a comparison."""
        given = (self.run or {}).get("progress")
        if not given:
            return None
        done = max([int(given["done"]), *self._steps])
        total = given["total"]
        return Progress(given["unit"], done if total is None else min(done, total), total)

    def seconds(self) -> float:
        """Duration of the run so far, or in total."""
        if self.run is None:
            return 0.0
        ended = self.run["ended"]
        return max(0.0, (_seconds(ended) if ended else self.now()) - _seconds(self.run["started"]))

    def age(self) -> float | None:
        """Seconds since the newest row was measured, or since the start; None once the run has ended."""
        if self.run is None or self.status in FINISHED:
            return None
        return max(0.0, self.now() - (self._newest or _seconds(self.run["started"])))

    def stale(self) -> bool:
        """Whether a running run has sent no rows for longer than its pace explains."""
        age = self.age()
        if self.has_children:
            return False  # it sends no rows itself
        return age is not None and age > max(STALE_S, STALE_STEPS * (self._pace() or 0.0))

    def seconds_left(self) -> float | None:
        """Estimated remaining time at the pace of the last steps.

        Returns
        -------
        float or None
            None before the first step, after the end, and while the run is stale.
        """
        progress, pace = self.progress(), self._pace()
        if (
            progress is None
            or progress.total is None
            or pace is None
            or self.status != "running"
            or self.stale()
        ):
            return None
        since = self.now() - self._steps[max(self._steps)]
        return max(0.0, pace * (progress.total - progress.done) - since)

    def compared_by(self) -> tuple[str, str, bool]:
        """The metric by which clients are ranked: `monitor`, or its training value until there is validation.

        Returns
        -------
        tuple of str, str and bool
        """
        stage, name, higher_is_better = self.monitor
        for key, higher in (((stage, name), higher_is_better), (("train", name), higher_is_better)):
            if any(key in values for values in self.client_values.values()):
                return (*key, higher)
        return ("train", LOSS, False)

    def worst_first(self) -> list[int]:
        """Client ids, worst last value of the ranking metric first.

        Returns
        -------
        list of int
            Clients without a value come last.
        """
        stage, name, higher_is_better = self.compared_by()

        def place(client_id: int) -> tuple[bool, float, int]:
            trend = self.client_values.get(client_id, {}).get((stage, name))
            if not trend or math.isnan(trend[-1]):
                return (True, 0.0, client_id)
            return (False, trend[-1] if higher_is_better else -trend[-1], client_id)

        return sorted({*self.clients, *self.client_values}, key=place)

    def _pace(self) -> float | None:
        # Seconds per step. The first step includes start-up and decoding, so it counts only if it is alone.
        steps = sorted(self._steps.items())
        if len(steps) > 1:
            (first, began), (last, ended) = steps[0], steps[-1]
            return max(0.0, ended - began) / (last - first)
        if steps and self.run:
            step, ended = steps[0]
            return max(0.0, ended - _seconds(self.run["started"])) / max(1, step)
        return None

    def _take(self, message: Message) -> None:
        match message["type"]:
            case "training_mode":
                self.run = message["run"]
                self.ended = self.ended and self.status in FINISHED  # a resumed run continues
                self.clients |= {client["client_id"]: client for client in message["clients"]}
            case "epoch_end" if message["stage"] == "train" and message["rows"]:
                self._step(message["epoch"], _seconds(message["rows"][-1]["time"]))
            case "round_metrics" if message["record"]:
                self._take_record(message["record"])
            case "early_stopping":
                self._event("stopped", Event(_seconds(message["time"]), str(message["reason"]), bad=False))
            case "error":
                self._event("error", Event(_seconds(message["time"]), f"error: {message['message']}"))
            case "training_end":
                self.run, self.ended = message["run"], True
            case "heartbeat":
                self.reachable = message["database"] == "reachable"
                ahead = _seconds(message["time"]) - self._clock()
                self._ahead = ahead if abs(ahead) > 1.0 else 0.0

    def _take_row(self, row: dict[str, Any]) -> None:
        value = float(row["not_finite"]) if row.get("not_finite") else float(row["value"])
        key, client_id, moment = (row["stage"], row["name"]), row["client_id"], _seconds(row["time"])
        self._newest = max(self._newest or moment, moment)
        of = self.aggregates if client_id is None else self.client_values.setdefault(client_id, {})
        of.setdefault(key, deque(maxlen=POINTS)).append(value)
        if client_id is not None and row["round"] is not None:
            self.client_rounds[client_id] = row["round"]
        if client_id is None and not math.isnan(value):
            low, high = self._extremes.get(key, (value, value))
            self._extremes[key] = min(low, value), max(high, value)

    def _take_child(self, run: dict[str, Any]) -> None:
        if run["parent_id"] == self.run_id:
            self.children[run["id"]] = run

    def _take_record(self, record: dict[str, Any]) -> None:
        number, ended = record["round"], _seconds(record["ended"])
        self.rounds[number] = record
        if number > 0:  # 0 is before training
            self._step(number, ended)
        for client_id, reason in record["failed"].items():
            name = self.clients.get(int(client_id), {}).get("name") or f"client {client_id}"
            text = f"round {number}: {name} dropped: {reason}"
            self._event("failed", Event(ended, text), number, str(client_id))

    def _step(self, step: int, moment: float) -> None:
        self._steps[step] = moment
        while len(self._steps) > STEPS:
            del self._steps[min(self._steps)]

    def _event(self, kind: str, event: Event, *key: Any) -> None:
        # Records are repeated after a reconnect: a known event keeps its position.
        self._events.setdefault((kind, *(key or (event.text,))), event)
        for old in list(islice(self._events, max(0, len(self._events) - EVENTS))):
            del self._events[old]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
