"""`MetricAggregation`: the federation's own metrics of one round, from what its clients report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from operator import add

from federated.server.reply_intake import CheckedReply
from federated.server.roster import Roster
from shared.metrics.judge import Judge
from shared.metrics.point import MetricPoint, Stage
from shared.metrics.statistics import Statistics


class MetricAggregation:
    """Collects what the accepted replies of a round report, until the round is closed.

    Validation metrics are those of all clients' rows together: they follow from the sum of the clients'
    statistics, and a client without a class does not count as 0. If a client of the round sends no statistics,
    all of the round's validation metrics are means of the clients' values, weighted by their rows, over the
    clients that have a value: what a sum over the others says would be of other rows. Training metrics are
    always such means.
    """

    def __init__(self, roster: Roster, *, judge: Judge) -> None:
        self.roster, self.judge = roster, judge
        self._replies: dict[Stage, dict[int, CheckedReply]]
        self.aggregates: dict[str, dict[str, float]]  # stage to name to value
        self.clear()

    def clear(self) -> None:
        """Begin the next round."""
        self._replies, self.aggregates = {}, {}

    def add(self, reply: CheckedReply, *, stage: Stage, client_id: int) -> None:
        """Take an accepted reply."""
        self._replies.setdefault(stage, {})[client_id] = reply

    def drop(self, client_ids: Iterable[int], *, stage: Stage) -> None:
        """Leave out replies that were accepted at first."""
        for client_id in client_ids:
            del self._replies[stage][client_id]

    def aggregate(self, stage: Stage, *, round: int) -> list[MetricPoint]:
        """The federation's metrics of one stage, which `aggregates` holds from now on.

        Returns
        -------
        list of MetricPoint
            Without a client: they are the federation's.
        """
        points = self._means(stage, round=round)
        statistics = self.statistics() if stage == "val" else None
        if statistics is not None:
            rows = sum(
                self.roster.num_examples(client_id, stage=stage, round=round)
                for client_id in self._replies[stage]
            )
            others = [point for point in points if point.name not in self.judge.names]
            points = [
                MetricPoint(stage=stage, name=name, value=value, round=round, num_examples=rows)
                for name, value in self.judge.pooled(statistics).items()
            ] + others
        self.aggregates[stage] = {point.name: point.value for point in points}
        return points

    def statistics(self) -> Statistics | None:
        """The sum over the clients; None if there is none, or a client sends none."""
        replies = self._replies.get("val", {})
        found = [reply.statistics for _, reply in sorted(replies.items()) if reply.statistics is not None]
        return reduce(add, found) if found and len(found) == len(replies) else None

    def without_statistics(self) -> list[str]:
        """The names of the clients whose reply about validation rows carried no statistics."""
        replies = sorted(self._replies.get("val", {}).items())
        return [self.roster.clients[c].name for c, reply in replies if reply.statistics is None]

    def _means(self, stage: Stage, *, round: int) -> list[MetricPoint]:
        last: dict[str, dict[int, float]] = defaultdict(dict)
        for client_id, reply in sorted(self._replies.get(stage, {}).items()):
            for point in sorted(reply.points, key=lambda point: point.epoch or 0):  # the last epoch counts
                last[point.name][client_id] = point.value
        result = []
        for name, values in last.items():
            weights = {c: self.roster.num_examples(c, stage=stage, round=round) for c in values}
            total = sum(weights.values())
            mean = math.fsum(value * weights[client_id] for client_id, value in values.items()) / total
            result.append(MetricPoint(stage=stage, name=name, value=mean, round=round, num_examples=total))
        return result
