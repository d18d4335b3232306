"""`ReplyIntake`: checks a client's reply and reads its metrics; what breaks a rule is rejected by name."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message

from federated.messages.parse import read_points, read_statistics
from federated.messages.validate import Contract, check_reply
from federated.server.roster import Roster
from shared.metrics.judge import Judge
from shared.metrics.point import MetricPoint, Stage
from shared.metrics.statistics import Statistics
from shared.runtime.errors import ReplyRejected


@dataclass(frozen=True)
class CheckedReply:
    """What a valid reply says of its client's rows.

    Attributes
    ----------
    statistics : Statistics or None
        Of the validation rows; None if the reply is about training, or the site keeps them to itself.
    """

    points: list[MetricPoint]
    statistics: Statistics | None = None


class ReplyIntake:
    """The checks that every reply passes before anything of it is kept.

    Parameters
    ----------
    epochs : int
        ``federation.local_epochs``.
    needs_statistics : bool
        Whether replies about validation rows without statistics are rejected (``trainer.threshold=val``).
    """

    def __init__(
        self, contract: Contract, *, roster: Roster, judge: Judge, epochs: int, needs_statistics: bool
    ) -> None:
        self.contract, self.roster, self.judge = contract, roster, judge
        self.epochs, self.needs_statistics = epochs, needs_statistics

    def read(self, reply: Message, *, stage: Stage, round: int, client_id: int) -> CheckedReply:
        """Check one reply.

        Raises
        ------
        ReplyRejected
        """
        announced = self.roster.num_examples(client_id, stage=stage, round=round)
        check_reply(reply.content, contract=self.contract, announced=announced, trained=stage == "train")
        points = read_points(reply.content, stage=stage, round=round, client_id=client_id, epochs=self.epochs)
        if stage == "train":
            if missing := {*self.contract.metrics} - {point.name for point in points}:
                names = ", ".join(sorted(missing))
                raise ReplyRejected(f"its metrics lack {names}, which the algorithm declares")
            return CheckedReply(points)
        statistics = read_statistics(
            reply.content, judge=self.judge, num_examples=announced, required=self.needs_statistics
        )
        return CheckedReply(points, statistics)
