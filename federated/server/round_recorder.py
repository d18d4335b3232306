"""`RoundJournal`: judges and records every reply and round; `server_app` hands it to the strategy's loop."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord

from federated.messages.delivery import Exchange
from federated.messages.parse import read_points, read_thresholds
from federated.messages.records import LR_SCALE, ClientInfo, state_of
from federated.messages.validate import Contract, check_reply
from federated.server.checkpoint import Progress, save_checkpoint
from federated.server.model_selection import judge_round
from federated.server.roster import Roster
from federated.strategy.base import Deterministic
from shared.config.config import Config
from shared.data.datamodule import ImageDataModule, part_size
from shared.metrics.catalogue import progress_metrics
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.point import MetricPoint, Stage
from shared.metrics.thresholds import best_threshold
from shared.model.classifier import LitClassifier
from shared.model.prediction import predict
from shared.runtime.errors import DivergedError, FederationError, QuorumError, bullet_list
from shared.tracking.store import Store
from shared.training.trainer import evaluation_device

WRITE_EVERY_S = 0.1


class StopFederation(Exception):
    """Ends the strategy's loop after a round; its text is the reason."""


class RoundJournal:
    """Everything that a federated run leaves behind, written as it happens.

    Parameters
    ----------
    module : LitClassifier
        Receives the global model to evaluate it.
    datamodule : ImageDataModule
        Its test rows are the server's held-out data.
    folder : Path
        Of the checkpoints.
    progress : Progress
        Where the run stands; changed in place.
    strategy : Deterministic
        Its state is kept with the global model.
    train_config : ConfigRecord
        What the strategy sends with each train message; a plateau lowers its learning rate.
    say : callable
        Takes a line of progress.
    """

    def __init__(
        self,
        cfg: Config,
        *,
        store: Store,
        run_id: int,
        roster: Roster,
        contract: Contract,
        module: LitClassifier,
        datamodule: ImageDataModule,
        folder: Path,
        progress: Progress,
        strategy: Deterministic,
        train_config: ConfigRecord,
        say: Callable[[str], None],
    ) -> None:
        self.cfg, self.store, self.run_id, self.roster = cfg, store, run_id, roster
        self.contract, self.module, self.datamodule = contract, module, datamodule
        self.folder, self.progress, self.say = folder, progress, say
        self.strategy, self.train_config = strategy, train_config
        self.sink = store.sink(run_id)
        self.device = evaluation_device(cfg.trainer)
        self._points: dict[str, dict[int, list[MetricPoint]]]
        self._means: dict[str, dict[str, float]]
        self._exchanges: dict[str, Exchange]
        self._thresholds: npt.NDArray[np.int64] | None
        self._unwritten: list[MetricPoint] = []
        self._written = 0.0
        self._clear()

    @property
    def round(self) -> int:
        """The server round that is under way, from 1."""
        return self.progress.round + 1

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        """Check a reply and write its points, with those of the others that came within a tenth of a second.

        Raises
        ------
        ReplyRefused
        """
        stage, info = _stage(message_type), self.roster.clients[client_id]
        announced = self._weight(info, stage)
        check_reply(reply.content, contract=self.contract, announced=announced, trained=stage == "train")
        points = read_points(reply.content, stage=stage, round=self.round, client_id=client_id)
        if stage == "val" and self.cfg.trainer.threshold == "val":
            counts = read_thresholds(reply.content, num_examples=announced)
            self._thresholds = counts if self._thresholds is None else self._thresholds + counts
        # Nothing of a reply is kept before all of it has passed.
        self._points[stage][client_id] = points
        self._unwritten += points
        self.idle()

    def idle(self) -> None:
        """Write the points that wait, unless some were written just now: a transaction costs milliseconds."""
        if self._unwritten and time.monotonic() - self._written >= WRITE_EVERY_S:
            self._write_points()

    def _write_points(self) -> None:
        self.sink.add(self._unwritten)
        self._unwritten = []
        self._written = time.monotonic()

    def finish(self, message_type: str, exchange: Exchange) -> None:
        """Write the aggregates of one send, and hold the quorum.

        Raises
        ------
        QuorumError
        """
        stage = _stage(message_type)
        self._exchanges[stage] = exchange
        self._unwritten += self._traffic(stage, exchange)
        self._write_points()
        for line in self._remarks(stage, exchange):
            self.say(f"round {self.round}: {line}")
        if stage == "train" and len(exchange.replied) < self.cfg.federation.min_replies:
            self._write_round()
            reasons = [
                f"{self.roster.clients[client_id].name}: {reason}"
                for client_id, reason in (exchange.failed | exchange.absent).items()
            ]
            raise QuorumError(
                f"round {self.round}: {len(exchange.replied)} of {len(exchange.sent)} training replies were "
                f"valid, federation.min_replies is {self.cfg.federation.min_replies}:\n{bullet_list(reasons)}"
            )
        # Only now: a run that goes on after a failed round aggregates that round anew.
        self.sink.add(self._aggregate(stage))

    def close_round(self, arrays: ArrayRecord, *, before_training: bool = False) -> MetricRecord:
        """Evaluate the new global model centrally, keep it, and decide whether to go on.

        Parameters
        ----------
        before_training : bool
            Round 0, which is only evaluated.

        Returns
        -------
        MetricRecord
            Of the server's test rows.

        Raises
        ------
        StopFederation
            By ``trainer.early_stopping``.
        DivergedError
            The model, or what it answers, is no longer a number.
        FederationError
            Somebody has ended the run, such as with Ctrl-C after another process went on with it.
        """
        if (run := self.store.run(self.run_id)).finished:
            raise FederationError(f"run {run.id} was ended by somebody else: {run.status}")
        number = 0 if before_training else self.round
        values = self._evaluate(arrays, number)
        if before_training:
            self.say(f"round 0/{self.cfg.federation.num_rounds}  {_shown(values, {})}")
            self._clear()
            return MetricRecord(dict(values))
        self._write_round()
        self.say(
            f"round {number}/{self.cfg.federation.num_rounds}  {_shown(values, self._means.get('val', {}))}"
        )
        reason = self._judge(number)
        self._clear()
        if reason and self.cfg.federation.early_stopping and number < self.cfg.federation.num_rounds:
            raise StopFederation(reason)
        return MetricRecord(dict(values))

    def _evaluate(self, arrays: ArrayRecord, number: int) -> dict[str, float]:
        state = state_of(arrays)
        finite = all(bool(tensor.isfinite().all()) for tensor in state.values())
        self.module.network.load_state_dict(state)
        outputs = predict(self.module.network, self.datamodule, "test", device=self.device)
        if not finite or not outputs.is_finite:
            if number:
                self._write_round()
            raise DivergedError(
                f"round {number}: the global model or its answers are not finite: the training diverged; "
                f"lower trainer.optimizer.lr (now {self.cfg.trainer.optimizer.lr}) or set trainer.gradient_clip"
            )
        judge = ClassificationMetrics(outputs.num_classes)
        values, count = judge.values(outputs), len(outputs)
        self.sink.add(
            [
                MetricPoint(stage="test", name=name, value=value, round=number, num_examples=count)
                for name, value in values.items()
            ]
        )
        self.store.add_server_evaluation(
            self.run_id,
            round=number,
            loss=values["loss"],
            metrics=values,
            confusion=judge.confusion(outputs).tolist(),
            num_examples=count,
        )
        return values

    def _judge(self, number: int) -> str | None:
        progress = self.progress
        progress.round = number
        if self._thresholds is not None:
            progress.threshold = best_threshold(self._thresholds)
        reason = judge_round(
            progress,
            means=self._means,
            cfg=self.cfg.trainer,
            num_classes=len(self.datamodule.data.classes),
        )
        self.train_config[LR_SCALE] = progress.lr_scale
        # After the rows: a crash in between repeats this round, whose rows are then already there.
        # And "last" after "best": it says that the round is done.
        state = self.module.network.state_dict()
        if progress.best_round == number:
            save_checkpoint(self.folder / "best.safetensors", state, progress)
        kept = {key: torch.from_numpy(np.asarray(array)) for key, array in self.strategy.state().items()}
        save_checkpoint(self.folder / "last.safetensors", state, progress, strategy=kept)
        return reason

    def _aggregate(self, stage: Stage) -> list[MetricPoint]:
        weights = {client_id: self._weight(info, stage) for client_id, info in self.roster.clients.items()}
        last: dict[str, dict[int, float]] = defaultdict(dict)
        for client_id, points in sorted(self._points[stage].items()):
            for point in sorted(points, key=lambda point: point.epoch or 0):  # the last local epoch stays
                last[point.name][client_id] = point.value
        result = []
        for name, values in last.items():
            total = sum(weights[client_id] for client_id in values)
            mean = math.fsum(value * weights[client_id] for client_id, value in values.items()) / total
            result.append(MetricPoint(stage=stage, name=name, value=mean, round=self.round, num_examples=total))
        self._means[stage] = {point.name: point.value for point in result}
        return result

    def _weight(self, info: ClientInfo, stage: Stage) -> int:
        if stage == "val":
            return info.num_val
        parts = self.cfg.federation.rounds_per_epoch
        return part_size(info.num_examples, epoch=self.progress.round, parts=parts)

    def _remarks(self, stage: Stage, exchange: Exchange) -> list[str]:
        def name(client_id: int) -> str:
            return self.roster.clients[client_id].name

        lines = [f"{name(c)} was asked again, {n} times ({stage})" for c, n in exchange.asked_again.items()]
        lines += [f"{name(c)} {why}: not asked ({stage})" for c, why in exchange.absent.items()]
        lines += [
            f"{name(c)} left out ({stage}): {reason.partition(chr(10))[0]}"
            for c, reason in exchange.failed.items()
        ]
        lines += [
            f"{name(c)} answered an earlier message after {seconds:.0f} s, past its deadline: dropped"
            for c, seconds in exchange.late.items()
        ]
        return lines

    def _traffic(self, stage: Stage, exchange: Exchange) -> list[MetricPoint]:
        columns: dict[str, Mapping[int, float]] = {
            "bytes_down": exchange.bytes_down,
            "bytes_up": exchange.bytes_up,
            "reply_seconds": exchange.seconds,
            "asked_again": exchange.asked_again,
            "late_reply_seconds": exchange.late,
        }
        return [
            MetricPoint(stage=stage, name=name, value=float(value), round=self.round, client_id=client_id)
            for name, by_client in columns.items()
            for client_id, value in by_client.items()
        ]

    def _write_round(self) -> None:
        now = datetime.now(UTC)
        exchanges = self._exchanges
        train = exchanges.get("train", Exchange())
        failed = {
            client_id: f"{stage}: {reason}"
            for stage, exchange in reversed(exchanges.items())
            for client_id, reason in exchange.failed.items()
        }
        self.store.add_round(
            self.run_id,
            round=self.round,
            began=self._began,
            ended=now,
            sampled=train.sent,
            replied=train.replied,
            failed=failed,
            bytes_down=sum(sum(exchange.bytes_down.values()) for exchange in exchanges.values()),
            bytes_up=sum(sum(exchange.bytes_up.values()) for exchange in exchanges.values()),
            seconds=time.perf_counter() - self._round_began,
        )

    def _clear(self) -> None:
        self._points = {"train": {}, "val": {}}
        self._means = {}
        self._exchanges = {}
        self._thresholds = None
        self._round_began, self._began = time.perf_counter(), datetime.now(UTC)


def _stage(message_type: str) -> Stage:
    return "train" if message_type == MessageType.TRAIN else "val"


def _shown(test: dict[str, float], val: dict[str, float]) -> str:
    parts = [f"test/{name} {test[name]:.4f}" for name in progress_metrics() if name in test]
    parts += [f"val/{name} {val[name]:.4f}" for name in progress_metrics() if name in val]
    return "  ".join(parts)
