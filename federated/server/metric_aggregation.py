"""`MetricAggregation`: the clients' metrics of one round, averaged by their examples."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from federated.server.reply_intake import CheckedReply
from federated.server.roster import Roster
from shared.metrics.point import MetricPoint, Stage
from shared.metrics.thresholds import best_threshold


class MetricAggregation:
    """Collects what the accepted replies of a round report, until the round is closed."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._replies: dict[Stage, dict[int, CheckedReply]]
        self.means: dict[str, dict[str, float]]  # stage to name to value
        self.clear()

    def clear(self) -> None:
        """Begin the next round."""
        self._replies, self.means = {}, {}

    def add(self, reply: CheckedReply, *, stage: Stage, client_id: int) -> None:
        """Take an accepted reply."""
        self._replies.setdefault(stage, {})[client_id] = reply

    def aggregate(self, stage: Stage, *, round: int) -> list[MetricPoint]:
        """The weighted means of one stage, which `means` holds from now on.

        Returns
        -------
        list of MetricPoint
            Without a client: they are the federation's. Of several local epochs the last one counts.
        """
        last: dict[str, dict[int, float]] = defaultdict(dict)
        for client_id, reply in sorted(self._replies.get(stage, {}).items()):
            for point in sorted(reply.points, key=lambda point: point.epoch or 0):
                last[point.name][client_id] = point.value
        result = []
        for name, values in last.items():
            weights = {c: self.roster.num_examples(c, stage=stage, round=round) for c in values}
            total = sum(weights.values())
            mean = math.fsum(value * weights[client_id] for client_id, value in values.items()) / total
            result.append(MetricPoint(stage=stage, name=name, value=mean, round=round, num_examples=total))
        self.means[stage] = {point.name: point.value for point in result}
        return result

    def threshold(self) -> float | None:
        """The best threshold on the validation rows of all clients, from their summed counts.

        Returns
        -------
        float or None
            None if no reply carried counts.
        """
        counts: list[npt.NDArray[np.int64]] = [
            reply.thresholds for reply in self._replies.get("val", {}).values() if reply.thresholds is not None
        ]
        return best_threshold(np.sum(counts, axis=0)) if counts else None
