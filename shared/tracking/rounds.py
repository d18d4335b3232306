"""`Rounds`: the server rounds of federated runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.tracking.database import Database
from shared.tracking.recorder import Recorders
from shared.tracking.rows import RoundRow
from shared.tracking.run_tables import put_rows, rows_of_run
from shared.tracking.schema import round_


class Rounds:
    """Stores and reads server rounds; when `add` returns, its row is on disk."""

    def __init__(self, database: Database, recorders: Recorders) -> None:
        self._database, self._recorders = database, recorders

    def add(
        self,
        run_id: int,
        *,
        round: int,
        began: datetime,
        ended: datetime,
        sampled: Sequence[int],
        replied: Sequence[int],
        failed: Mapping[int, str],
        bytes_down: int,
        bytes_up: int,
        seconds: float,
    ) -> None:
        """Store, or replace, what happened in a server round.

        Parameters
        ----------
        began, ended : datetime
            Aware.
        sampled, replied : sequence of int
            Client ids.
        failed : mapping
            Reasons by client id.
        bytes_down, bytes_up : int
            To and from the clients.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        row = {
            "round": round,
            "began": began,
            "ended": ended,
            "sampled": list(sampled),
            "replied": list(replied),
            "failed": dict(failed),
            "bytes_down": bytes_down,
            "bytes_up": bytes_up,
            "seconds": seconds,
        }
        put_rows(self._recorders, round_, run_id, [row])

    def of_run(self, run_id: int, *, since: int = 0) -> list[RoundRow]:
        """Server rounds, by number.

        Parameters
        ----------
        since : int
            The first round that is wanted.
        """
        rows = []
        for row in rows_of_run(self._database, round_, run_id, by="round", since=since):
            row["failed"] = {int(client_id): reason for client_id, reason in row["failed"].items()}
            rows.append(RoundRow(**row))
        return rows
