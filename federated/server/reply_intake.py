"""`ReplyIntake`: checks a client's reply and reads its metrics; what breaks a rule is rejected by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Message

from federated.messages.parse import read_points, read_thresholds
from federated.messages.validate import Contract, check_reply
from federated.server.roster import Roster
from shared.metrics.point import MetricPoint, Stage
from shared.runtime.errors import ReplyRejected


@dataclass(frozen=True)
class CheckedReply:
    """What a valid reply says of its client's rows.

    Attributes
    ----------
    thresholds : ndarray [2, 1000], int64, or None
        Counts of probabilities by label, if they were asked for.
    """

    points: list[MetricPoint]
    thresholds: npt.NDArray[np.int64] | None = None


class ReplyIntake:
    """The checks that every reply passes before anything of it is kept.

    Parameters
    ----------
    with_thresholds : bool
        Whether replies about validation rows must carry threshold counts (``trainer.threshold=val``).
    """

    def __init__(self, contract: Contract, *, roster: Roster, with_thresholds: bool) -> None:
        self.contract, self.roster, self.with_thresholds = contract, roster, with_thresholds

    def read(self, reply: Message, *, stage: Stage, round: int, client_id: int) -> CheckedReply:
        """Check one reply.

        Raises
        ------
        ReplyRejected
        """
        announced = self.roster.num_examples(client_id, stage=stage, round=round)
        check_reply(reply.content, contract=self.contract, announced=announced, trained=stage == "train")
        points = read_points(reply.content, stage=stage, round=round, client_id=client_id)
        if stage == "train" and (missing := {*self.contract.metrics} - {point.name for point in points}):
            raise ReplyRejected(f"its metrics lack {', '.join(sorted(missing))}, which the algorithm declares")
        if stage == "val" and self.with_thresholds:
            return CheckedReply(points, read_thresholds(reply.content, num_examples=announced))
        return CheckedReply(points)
