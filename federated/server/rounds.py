"""`Rounds`: takes a round from its replies to its checkpoint, called by the strategy's loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord

from federated.messages.delivery import Delivery
from federated.messages.records import ASK, LR_SCALE
from federated.server.checkpoint import Checkpoints, Progress
from federated.server.metric_aggregation import MetricAggregation
from federated.server.model_selection import judge_round
from federated.server.reply_intake import ReplyIntake
from federated.server.roster import Roster
from federated.server.round_recorder import RoundRecorder
from federated.server.server_evaluation import ServerEvaluation
from federated.strategy.server_half import ServerHalf
from shared.config.config import Config
from shared.config.strategy import sample_size
from shared.metrics.point import Stage
from shared.runtime.errors import DivergedError, QuorumError, bullet_list
from shared.tasks.selection import Monitor, fallback, gives_way


class StopFederation(Exception):
    """Ends the strategy's loop after a round; its text is the reason."""


class Rounds:
    """A round's replies are checked, recorded and aggregated; its model is evaluated, judged and kept.

    Parameters
    ----------
    progress : Progress
        Where the run stands; changed in place.
    strategy : ServerHalf
        Its state is kept with the global model.
    train_config : ConfigRecord
        What the strategy sends with each train message; a plateau lowers its learning rate.
    monitor : Monitor
        What the run was begun with.
    say : callable
        Takes a line that people should read.
    closed : callable
        Takes the line of a round that is over.
    replied : callable
        Takes the rounds done, with the part of the current one, and what it waits for.
    """

    def __init__(
        self,
        cfg: Config,
        *,
        roster: Roster,
        intake: ReplyIntake,
        metrics: MetricAggregation,
        recorder: RoundRecorder,
        evaluation: ServerEvaluation,
        checkpoints: Checkpoints,
        progress: Progress,
        strategy: ServerHalf,
        train_config: ConfigRecord,
        monitor: Monitor,
        say: Callable[[str], None],
        closed: Callable[[str], None],
        replied: Callable[[float, str], None],
    ) -> None:
        self.cfg, self.roster = cfg, roster
        self.intake, self.metrics, self.recorder = intake, metrics, recorder
        self.evaluation, self.checkpoints, self.progress = evaluation, checkpoints, progress
        self.strategy, self.train_config, self.say = strategy, train_config, say
        self.closed, self.replied = closed, replied
        self.monitor = monitor
        self._replies: Counter[Stage] = Counter()
        self._silent: list[str] = []
        self._answered = 0  # questions of this round
        self._questions = Delivery()  # the traffic of those that came before this round's train messages

    @property
    def round(self) -> int:
        """The server round that is under way, from 1."""
        return self.progress.round + 1

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        """Check a reply, then keep what it reports.

        Raises
        ------
        ReplyRejected
        """
        if message_type == ASK:
            self.strategy.check_answer(reply.content)
            return
        stage = _stage(message_type)
        checked = self.intake.read(reply, stage=stage, round=self.round, client_id=client_id)
        if stage == "train":
            self.strategy.check_trained(reply.content)
        self.metrics.add(checked, stage=stage, client_id=client_id)
        self.recorder.add(checked.points)
        self._replies[stage] += 1
        sampled = sample_size(
            len(self.roster.clients),
            self.cfg.strategy.fraction_train,
            at_least=self.cfg.strategy.min_train,
        )
        trained = self._replies["train"]
        if stage == "train":
            note = f"{trained} of {sampled} clients trained"
        else:
            note = f"{self._replies[stage]} clients evaluated"
        self.replied(self.progress.round + min(0.9 * trained / sampled, 0.9), note)

    def idle(self) -> None:
        """Use the wait for the next reply to write."""
        self.recorder.write_due()

    def finish(self, message_type: str, delivery: Delivery) -> None:
        """Record one send and its aggregates, and hold the quorum.

        Raises
        ------
        QuorumError
        """
        if message_type == ASK:
            self._take_answers(delivery)
            return
        stage = _stage(message_type)
        if stage == "train":
            delivery.add(self._questions)
        self.metrics.drop(delivery.over_bound, stage=stage)
        self.recorder.delivered(delivery, stage=stage, round=self.round)
        for line in _remarks(delivery, stage=stage, roster=self.roster):
            self.say(f"round {self.round}: {line}")
        if stage == "train" and len(delivery.replied) < self.cfg.federation.min_replies:
            self.recorder.add_round(self.round)
            raise QuorumError(
                f"round {self.round}: {len(delivery.replied)} of {len(delivery.sent)} training replies were "
                f"valid, federation.min_replies is {self.cfg.federation.min_replies}:\n{self._why(delivery)}"
            )
        if stage == "train":
            self.progress.accepted |= dict.fromkeys(delivery.replied, self.round)
        # Only now: a run that is resumed after a failed round aggregates that round again.
        self.recorder.add_aggregates(self.metrics.aggregate(stage, round=self.round))
        silent = self.metrics.without_statistics()
        if stage == "val" and silent and silent != self._silent:
            self.say(
                f"round {self.round}: validation metrics are means over the clients, weighted by their rows: "
                f"no statistics from {', '.join(silent)} (may_leave.counts in site.yaml)"
            )
        self._silent = silent if stage == "val" else self._silent

    def _take_answers(self, delivery: Delivery) -> None:
        expected = len({*delivery.sent, *delivery.absent})
        if len(delivery.replied) == expected:
            self._questions.add(delivery)
            self._answered += 1
            self.replied(self.progress.round + 0.1, f"{self._answered} questions answered")
            return
        for line in _remarks(delivery, stage="train", roster=self.roster):
            self.say(f"round {self.round}: {line}")
        delivery.add(self._questions)
        self.recorder.delivered(delivery, stage="train", round=self.round)
        self.recorder.add_round(self.round)
        raise QuorumError(
            f"round {self.round}: {len(delivery.replied)} of {expected} clients answered, and "
            f"strategy={self.cfg.strategy.name} needs the sums of all; once they are there, resume the run:\n"
            + self._why(delivery)
        )

    def _why(self, delivery: Delivery) -> str:
        reasons = (delivery.failed | delivery.absent).items()
        return bullet_list(
            [f"{self.roster.clients[client_id].name}: {reason}" for client_id, reason in reasons]
        )

    def close(self, arrays: ArrayRecord, *, before_training: bool = False) -> MetricRecord:
        """Evaluate the new global model centrally, keep it, and decide whether to continue.

        Parameters
        ----------
        before_training : bool
            Round 0, which is only evaluated.

        Returns
        -------
        MetricRecord
            Of the server's test rows; empty where they are left alone.

        Raises
        ------
        StopFederation
            By ``trainer.early_stopping``.
        DivergedError
            The model, or what it predicts, is no longer a number.
        FederationError
            Another process ended the run.
        """
        self.recorder.check_not_ended()
        number, total = 0 if before_training else self.round, self.cfg.federation.num_rounds
        try:
            outputs = self.evaluation.evaluate(arrays, round=number)
        except DivergedError:
            if number:
                self.recorder.add_round(number)
            raise
        values: Mapping[str, float] = {}
        if outputs is not None:
            values = self.evaluation.spec.values(outputs)
            self.recorder.add_evaluation(outputs, values=values, round=number)
        if number:
            self.recorder.add_round(number)
        shown = ("loss", self.evaluation.spec.client_metric)
        told = _shown(values, self.metrics.aggregates.get("val", {}), names=shown)
        self.closed(f"round {number}/{total}  {told}")
        reason = self._judge(number) if number else None
        self.metrics.clear()
        self._replies.clear()
        self._questions, self._answered = Delivery(), 0
        self.recorder.begin_round()
        if reason and self.cfg.federation.early_stopping and number < total:
            raise StopFederation(reason)
        return MetricRecord(dict(values))

    def _judge(self, number: int) -> str | None:
        progress = self.progress
        progress.round = number
        statistics = self.metrics.statistics()
        if self.cfg.trainer.threshold == "val" and statistics is not None:
            progress.threshold = self.metrics.judge.best_threshold(statistics)
        fell_back = progress.fallback
        reason = judge_round(
            progress,
            aggregates=self.metrics.aggregates,
            cfg=self.cfg.trainer,
            monitor=self.monitor,
        )
        if progress.fallback and not fell_back:
            instead = fallback(self.monitor)
            why = f"not on the clients' {self.monitor.stage} rows of round {number}"
            self.say(f"warning: {gives_way(self.monitor, instead, why=why)}")
            self.recorder.set_monitor(instead)
        self.train_config[LR_SCALE] = progress.lr_scale
        # After the rows: a crash in between repeats this round, whose rows are then already there.
        self.checkpoints.save(self.evaluation.network.state_dict(), progress, strategy=self.strategy.state())
        return reason


def _stage(message_type: str) -> Stage:
    return "train" if message_type == MessageType.TRAIN else "val"


def _remarks(delivery: Delivery, *, stage: Stage, roster: Roster) -> list[str]:
    def name(client_id: int) -> str:
        return roster.clients[client_id].name

    lines = [f"{name(c)} was asked again, {n} times ({stage})" for c, n in delivery.asked_again.items()]
    lines += [f"{name(c)} {why}: not asked ({stage})" for c, why in delivery.absent.items()]
    lines += [
        f"{name(c)} dropped ({stage}): {reason.partition(chr(10))[0]}" for c, reason in delivery.failed.items()
    ]
    lines += [
        f"{name(c)} answered an earlier message after {seconds:.0f} s, past its deadline: dropped"
        for c, seconds in delivery.late.items()
    ]
    return lines


def _shown(test: Mapping[str, float], val: Mapping[str, float], *, names: Sequence[str]) -> str:
    parts = [f"test/{name} {test[name]:.4f}" for name in names if name in test]
    parts += [f"val/{name} {val[name]:.4f}" for name in names if name in val]
    return "  ".join(parts)
