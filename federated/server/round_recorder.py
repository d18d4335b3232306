"""`RoundRecorder`: writes a federated run's metrics, traffic, rounds and evaluations as they happen."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from federated.messages.delivery import Delivery
from shared.metrics.outputs import Outputs
from shared.metrics.point import MetricPoint, Stage
from shared.runtime.errors import DatabaseAway, FederationError
from shared.tasks.base import TaskSpec
from shared.tasks.panels import confusion_of
from shared.tasks.selection import Monitor
from shared.tracking.store import Store

WRITE_EVERY_S = 0.1


class RoundRecorder:
    """Rows of one run; points wait for up to a tenth of a second, as a transaction costs milliseconds."""

    def __init__(self, store: Store, *, run_id: int, spec: TaskSpec) -> None:
        self.store, self.run_id, self.spec = store, run_id, spec
        self.sink = store.metrics.sink(run_id)
        self._unwritten: list[MetricPoint] = []
        self._written = 0.0
        self._deliveries: dict[Stage, Delivery]
        self.begin_round()

    def begin_round(self) -> None:
        """Start the clock of a round."""
        self._deliveries = {}
        self._began, self._began_s = datetime.now(UTC), time.perf_counter()

    def check_not_ended(self) -> None:
        """Make sure that the run is still ours.

        Raises
        ------
        FederationError
            Another process ended it, such as a Ctrl-C after another process resumed it.
        """
        if self.store.waits(self.run_id):
            return  # nobody can end it now
        try:
            run = self.store.runs.get(self.run_id)
        except DatabaseAway:
            return
        if run.finished:
            raise FederationError(f"run {run.id} was ended by another process: {run.status}")

    def set_monitor(self, monitor: Monitor) -> None:
        """Keep what chooses the best model from now on."""
        self.store.runs.update(self.run_id, summary={"monitor": monitor._asdict()})

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Queue a reply's points."""
        self._unwritten += points
        self.write_due()

    def write_due(self) -> None:
        """Write the queued points, unless some were written just now."""
        if self._unwritten and time.monotonic() - self._written >= WRITE_EVERY_S:
            self._write()

    def delivered(self, delivery: Delivery, *, stage: Stage, round: int) -> None:
        """Write the queued points and the traffic of one send."""
        self._deliveries[stage] = delivery
        self._unwritten += _traffic(delivery, stage=stage, round=round)
        self._write()

    def add_aggregates(self, points: Sequence[MetricPoint]) -> None:
        """Write the federation's own metrics."""
        self.sink.add(points)

    def add_evaluation(self, outputs: Outputs, *, values: Mapping[str, float], round: int) -> None:
        """Write what the server measured on its test rows."""
        count = len(outputs)
        self.sink.add(
            [
                MetricPoint(stage="test", name=name, value=value, round=round, num_examples=count)
                for name, value in values.items()
            ]
        )
        self.store.evaluations.add(
            self.run_id,
            round=round,
            loss=values.get("loss", math.nan),
            metrics=dict(values),
            confusion=confusion_of([panel.as_dict() for panel in self.spec.panels(outputs)]),
            num_examples=count,
        )

    def add_round(self, round: int) -> None:
        """Write the row of a round: who was asked, who replied, who failed, bytes and seconds."""
        deliveries = self._deliveries
        train = deliveries.get("train", Delivery())
        failed = {
            client_id: f"{stage}: {reason}"
            for stage, delivery in reversed(deliveries.items())
            for client_id, reason in delivery.failed.items()
        }
        self.store.rounds.add(
            self.run_id,
            round=round,
            began=self._began,
            ended=datetime.now(UTC),
            sampled=train.sent,
            replied=train.replied,
            failed=failed,
            bytes_down=sum(sum(delivery.bytes_down.values()) for delivery in deliveries.values()),
            bytes_up=sum(sum(delivery.bytes_up.values()) for delivery in deliveries.values()),
            seconds=time.perf_counter() - self._began_s,
        )

    def _write(self) -> None:
        self.sink.add(self._unwritten)
        self._unwritten = []
        self._written = time.monotonic()


def _traffic(delivery: Delivery, *, stage: Stage, round: int) -> list[MetricPoint]:
    columns: dict[str, Mapping[int, float]] = {
        "bytes_down": delivery.bytes_down,
        "bytes_up": delivery.bytes_up,
        "reply_seconds": delivery.seconds,
        "asked_again": delivery.asked_again,
        "late_reply_seconds": delivery.late,
        "update_norm_ratio": delivery.over_bound,
    }
    return [
        MetricPoint(stage=stage, name=name, value=float(value), round=round, client_id=client_id)
        for name, by_client in columns.items()
        for client_id, value in by_client.items()
    ]
