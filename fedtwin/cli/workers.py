"""``fedtwin workers``: lists who runs jobs."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime

from rich.console import Console

from shared.runtime.home import open_home
from shared.tracking.show import plain, table
from shared.tracking.store import Store


def run_command(options: Namespace) -> None:
    """List workers.

    Raises
    ------
    FedtwinError
    """
    with Store(open_home().database_url) as store:
        rows = store.workers.search()
    if options.format == "json":
        print(json.dumps([{**row.as_dict(), "state": row.state} for row in rows], indent=2))
        return
    listed = table("worker", "state", "job", "since", "last heartbeat", "backend", title="workers", light=True)
    now = datetime.now(UTC)
    for row in rows:
        heard = f"{max(0.0, (now - row.seen).total_seconds()):.0f} s ago"
        since = row.since.isoformat(sep=" ", timespec="seconds")
        job = "-" if row.job_id is None else str(row.job_id)
        listed.add_row(plain(row.name), row.state, job, since, heard, row.backend)
    Console().print(listed)
