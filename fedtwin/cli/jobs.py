"""``fedtwin jobs``: lists training jobs, shows one, cancels and retries them."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.jobs.attempt import LOG_FILE
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home, open_home
from shared.tracking.job_rows import PRIORITIES, JobRow
from shared.tracking.rows import MODE_NAMES
from shared.tracking.show import plain, table
from shared.tracking.store import Store

COLOURS = {"queued": "yellow", "running": "cyan", "completed": "green", "failed": "red", "cancelled": "magenta"}
_NEEDS_NO_JOB = "list"


def run_command(options: Namespace) -> None:
    """Run one of the subcommands.

    Raises
    ------
    FedtwinError
    """
    if (options.job is None) != (options.action == _NEEDS_NO_JOB):
        takes = "takes no job" if options.job is not None else "needs a job: fedtwin jobs lists them"
        raise ConfigError(f"fedtwin jobs {options.action} {takes}")
    home = open_home()
    with Store(home.database_url) as store:
        ACTIONS[options.action](options, store, home)


def _list(options: Namespace, store: Store, home: Home) -> None:
    rows = store.jobs.search(status=options.status, limit=options.limit)
    if options.format == "json":
        print(json.dumps([shown(row) for row in rows], indent=2))
    else:
        Console().print(jobs_table(rows, tenants=_several(store)))


def _show(options: Namespace, store: Store, home: Home) -> None:
    row = store.jobs.get(options.job)
    events = store.jobs.events(row.id)
    log = home.job_dir(row.id) / LOG_FILE
    if options.format == "json":
        print(json.dumps({**shown(row), "events": [event.as_dict() for event in events]}, indent=2))
        return
    console = Console()
    console.print(jobs_table([row], tenants=_several(store)))
    if row.error:
        console.print(plain(f"{row.error_code}: {row.error}"))
    happened = table("time", "event", "attempt", "detail", title="events", light=True)
    for event in events:
        time = event.time.isoformat(sep=" ", timespec="seconds")
        happened.add_row(time, event.kind, str(event.attempt), plain(event.detail))
    console.print(happened)
    if log.is_file():
        console.print(f"log  {log}", soft_wrap=True)


def _cancel(options: Namespace, store: Store, home: Home) -> None:
    row = store.jobs.cancel(options.job)
    more = "" if row.finished else "; its worker stops it"
    print(f"job {row.id} is {'cancelled' if row.finished else 'being cancelled'}{more}")


def _retry(options: Namespace, store: Store, home: Home) -> None:
    row = store.jobs.retry(options.job)
    resumed = "" if row.run_id is None else f"; run {row.run_id} is resumed from its last checkpoint"
    print(f"job {row.id} is queued again{resumed}")


ACTIONS = {"list": _list, "show": _show, "cancel": _cancel, "retry": _retry}


def shown(row: JobRow) -> dict[str, object]:
    """A job in JSON's types, without the settings, which its run shows."""
    hidden = ("config", "idempotency_key", "request_hash")
    values = {name: value for name, value in row.as_dict().items() if name not in hidden}
    return {**values, "priority": PRIORITIES[row.priority]}


def _several(store: Store) -> bool:
    return len(store.tenants.search()) > 1


def jobs_table(rows: Sequence[JobRow], *, tenants: bool) -> Table:
    """A table with one line per job.

    Parameters
    ----------
    tenants : bool
        Whether to show whose each is.
    """
    owned = ("tenant",) if tenants else ()
    names = ("id", *owned, "name", "mode", "status", "priority", "attempt", "run", "age")
    listed = table(*names, title="jobs", light=True)
    now = datetime.now(UTC)
    for row in rows:
        minutes = (now - row.created).total_seconds() / 60
        listed.add_row(
            str(row.id),
            *(row.tenant for _ in owned),
            plain(row.name),
            MODE_NAMES[row.mode],
            Text(
                "cancelling" if row.status == "running" and row.cancel_requested else row.status,
                COLOURS[row.status],
            ),
            PRIORITIES[row.priority],
            str(row.attempt),
            "-" if row.run_id is None else str(row.run_id),
            f"{minutes:.0f} min",
        )
    return listed
