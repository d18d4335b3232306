"""`RoundJournal`: judges and records every reply and every round; `server_app` hands it to the strategy's loop."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord

from federated.checkpoint import Progress, save_checkpoint
from federated.grid import Exchange
from federated.guard import Contract, check_reply
from federated.records import LR_SCALE, read_points, read_thresholds, state_of
from federated.roster import Roster
from shared.config import Config
from shared.data.datamodule import ImageDataModule
from shared.errors import QuorumError, ReplyRefused, bullet_list
from shared.metrics import MetricPoint, Stage
from shared.model.classifier import LitClassifier
from shared.model.scores import best_threshold, confusion, predict, score
from shared.model.trainer import evaluation_device
from shared.tracking.store import Store


class StopFederation(Exception):
    """Ends the strategy's loop after a round; its text is the reason."""


class RoundJournal:
    """Everything that a federated run leaves behind, written as it happens.

    Parameters
    ----------
    cfg : Config
    store : Store
    run_id : int
    roster : Roster
    contract : Contract
    module : LitClassifier
        Receives the global model to evaluate it.
    datamodule : ImageDataModule
        Its test rows are the server's held-out data.
    folder : Path
        Of the checkpoints.
    progress : Progress
        Where the run stands; changed in place.
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
        train_config: ConfigRecord,
        say: Callable[[str], None],
    ) -> None:
        self.cfg, self.store, self.run_id, self.roster = cfg, store, run_id, roster
        self.contract, self.module, self.datamodule = contract, module, datamodule
        self.folder, self.progress, self.say = folder, progress, say
        self.train_config = train_config
        self.sink = store.sink(run_id)
        self.device = evaluation_device(cfg.trainer)
        self._round_began = time.perf_counter()
        self._began = datetime.now(UTC)
        self._clear()

    @property
    def round(self) -> int:
        """The server round that is under way, from 1."""
        return self.progress.round + 1

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        """Check a reply and write its points.

        Parameters
        ----------
        message_type : str
        client_id : int
        reply : Message

        Raises
        ------
        ReplyRefused
        """
        stage = _stage(message_type)
        announced = self.roster.clients[client_id].num_examples if stage == "train" else None
        count = check_reply(reply.content, contract=self.contract, announced=announced)
        points = read_points(reply.content, round=self.round, client_id=client_id)
        if any(point.stage != stage for point in points):
            raise ReplyRefused(f"it answers a {stage} message with points of another stage")
        if stage == "val" and (counts := read_thresholds(reply.content)) is not None:
            self._thresholds = counts if self._thresholds is None else self._thresholds + counts
        self._weights[stage][client_id] = count
        self._points[stage][client_id] = points
        self.sink.add(points)

    def finish(self, message_type: str, exchange: Exchange) -> None:
        """Write the aggregates of one send, and hold the quorum.

        Parameters
        ----------
        message_type : str
        exchange : Exchange

        Raises
        ------
        QuorumError
        """
        stage = _stage(message_type)
        self._exchanges[stage] = exchange
        self.sink.add([*self._traffic(stage, exchange), *self._aggregate(stage)])
        for client_id, reason in exchange.failed.items():
            first = reason.splitlines()[0] if reason else ""
            self.say(f"round {self.round}: {self.roster.clients[client_id].name} left out ({stage}): {first}")
        if stage == "train" and len(exchange.replied) < self.cfg.federation.min_replies:
            self._write_round()
            reasons = [f"{self.roster.clients[c].name}: {reason}" for c, reason in exchange.failed.items()]
            raise QuorumError(
                f"round {self.round}: {len(exchange.replied)} of {len(exchange.sent)} training replies were valid, "
                f"federation.min_replies is {self.cfg.federation.min_replies}:\n{bullet_list(reasons)}"
            )

    def close_round(self, arrays: ArrayRecord, *, before_training: bool = False) -> MetricRecord:
        """Evaluate the new global model centrally, keep it, and decide whether to go on.

        Parameters
        ----------
        arrays : ArrayRecord
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
        """
        number = 0 if before_training else self.round
        self.module.network.load_state_dict(state_of(arrays))
        scores = predict(self.module.network, self.datamodule, "test", device=self.device)
        values = score(scores)
        self.sink.add(
            [
                MetricPoint(stage="test", name=name, value=value, round=number, num_examples=len(scores.labels))
                for name, value in values.items()
            ]
        )
        self.store.add_server_evaluation(
            self.run_id,
            round=number,
            loss=values["loss"],
            metrics=values,
            confusion=confusion(scores).tolist(),
            num_examples=len(scores.labels),
        )
        if before_training:
            self.say(f"round 0/{self.cfg.federation.num_rounds}  {_shown(values, {})}")
            return MetricRecord(dict(values))
        self._write_round()
        aggregates = self._means.get("val", {})
        self.say(f"round {number}/{self.cfg.federation.num_rounds}  {_shown(values, aggregates)}")
        reason = self._judge_round(number)
        # The rows come first: a crash in between repeats this round, whose rows are then already there.
        save_checkpoint(self.folder / "last.safetensors", self.module.network.state_dict(), self.progress)
        if self.progress.best_round == number:
            save_checkpoint(self.folder / "best.safetensors", self.module.network.state_dict(), self.progress)
        self._clear()
        if reason:
            raise StopFederation(reason)
        return MetricRecord(dict(values))

    def _judge_round(self, number: int) -> str | None:
        progress, stopping = self.progress, self.cfg.trainer.early_stopping
        progress.round = number
        monitor, mode = self.cfg.trainer.monitored(len(self.datamodule.data.classes))
        stage, _, name = monitor.partition("/")
        value = self._means.get(stage, {}).get(name)
        if value is None:  # nobody evaluated: the newest model is the best known
            progress.best_round = number
        else:
            clearly = _better(value, progress.best_value, mode=mode, min_delta=stopping.min_delta)
            progress.stale_rounds = 0 if clearly else progress.stale_rounds + 1
            if _better(value, progress.best_value, mode=mode):
                progress.best_round, progress.best_value = number, value
                progress.best_threshold = self.cfg.trainer.fixed_threshold if self._thresholds is None else best_threshold(self._thresholds)
        self._judge_plateau()
        if self.cfg.federation.early_stopping and progress.stale_rounds >= stopping.patience:
            return (
                f"{monitor} did not improve in the last {progress.stale_rounds} rounds; "
                f"best {progress.best_value:.4f} in round {progress.best_round}"
            )
        return None

    def _judge_plateau(self) -> None:
        progress, schedule = self.progress, self.cfg.trainer.scheduler
        loss = self._means.get("val", {}).get("loss")
        if schedule.name != "plateau" or loss is None:
            return
        if _better(loss, progress.plateau_best, mode="min"):
            progress.plateau_best, progress.plateau_stale = loss, 0
            return
        progress.plateau_stale += 1
        if progress.plateau_stale > schedule.patience:
            progress.lr_scale *= schedule.factor
            self.train_config[LR_SCALE] = progress.lr_scale
            progress.plateau_stale = 0

    def _aggregate(self, stage: Stage) -> list[MetricPoint]:
        weights = self._weights[stage]
        last: dict[str, dict[int, float]] = defaultdict(dict)
        for client_id, points in sorted(self._points[stage].items()):
            for point in points:  # a later local epoch replaces an earlier one
                last[point.name][client_id] = point.value
        means = self._means.setdefault(stage, {})
        result = []
        for name, values in last.items():
            total = sum(weights[client_id] for client_id in values)
            mean = math.fsum(value * weights[client_id] for client_id, value in values.items()) / total
            means[name] = mean
            result.append(MetricPoint(stage=stage, name=name, value=mean, round=self.round, num_examples=total))
        return result

    def _traffic(self, stage: Stage, exchange: Exchange) -> list[MetricPoint]:
        columns = {
            "bytes_down": exchange.bytes_down,
            "bytes_up": exchange.bytes_up,
            "reply_seconds": exchange.seconds,
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
        self._weights: dict[str, dict[int, int]] = {"train": {}, "val": {}}
        self._points: dict[str, dict[int, list[MetricPoint]]] = {"train": {}, "val": {}}
        self._means: dict[str, dict[str, float]] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._thresholds: npt.NDArray[np.int64] | None = None
        self._round_began, self._began = time.perf_counter(), datetime.now(UTC)


def _stage(message_type: str) -> Stage:
    return "train" if message_type == MessageType.TRAIN else "val"


def _better(value: float, best: float | None, *, mode: str, min_delta: float = 0.0) -> bool:
    if best is None:
        return True
    return value > best + min_delta if mode == "max" else value < best - min_delta


def _shown(test: dict[str, float], val: dict[str, float]) -> str:
    parts = [f"test/{name} {test[name]:.4f}" for name in ("loss", "accuracy") if name in test]
    parts += [f"val/{name} {val[name]:.4f}" for name in ("loss", "accuracy") if name in val]
    return "  ".join(parts)
