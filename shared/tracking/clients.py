"""`Clients`: the participants of federated runs."""

from __future__ import annotations

from collections.abc import Sequence

from shared.tracking.database import Database
from shared.tracking.recorder import Recorders
from shared.tracking.rows import ClientLike, ClientRow
from shared.tracking.run_tables import put_rows, rows_of_run
from shared.tracking.schema import client


class Clients:
    """Stores and reads participants; when `add` returns, its rows are on disk."""

    def __init__(self, database: Database, recorders: Recorders) -> None:
        self._database, self._recorders = database, recorders

    def add(self, run_id: int, clients: Sequence[ClientLike]) -> None:
        """Store, or replace, participants.

        Parameters
        ----------
        clients : sequence of ClientRow
            Or of anything with its attributes.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        rows = []
        for one in clients:
            row = {"client_id": one.client_id, "node_id": str(one.node_id), "name": one.name}
            row |= {"num_examples": one.num_examples, "profile": dict(one.profile)}
            rows.append(row)
        put_rows(self._recorders, client, run_id, rows)

    def of_run(self, run_id: int) -> list[ClientRow]:
        """Participants, by client id."""
        return [ClientRow(**row) for row in rows_of_run(self._database, client, run_id, by="client_id")]
