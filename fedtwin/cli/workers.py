"""``fedtwin workers``: lists who runs jobs."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from shared.runtime.home import open_home
from shared.tracking.show import plain, table
from shared.tracking.store import Store
from shared.tracking.workers import WorkerRow


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
        listed.add_row(plain(row.name), row.state, job, since, heard, _place(row))
    Console().print(listed)


def _place(row: WorkerRow) -> Text:
    # The backend, and how much of its cluster is free.
    found = row.cluster
    if found is None:
        return plain(row.backend)
    if found["problem"] is not None:
        return plain(f"{row.backend}: {found['problem']}")
    parts = [f"{found['nodes']} nodes"]
    for name, what in (("cpus", "CPUs"), ("gpus", "GPUs")):
        if found[name]:
            free = found[f"{name}_free"]
            parts.append(
                f"{found[name]:g} {what}" if free is None else f"{free:g} of {found[name]:g} {what} free"
            )
    return plain(f"{row.backend}: {', '.join(parts)}")
