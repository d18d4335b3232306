"""``fedtwin datasets``: lists what tenants have uploaded to be trained on, and deletes it."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from fedtwin.cli.action_words import check_words
from fedtwin.cli.edit import confirm
from service.datasets.checks import delete_dataset
from shared.runtime.home import Home, open_home
from shared.tracking.show import plain, table
from shared.tracking.store import Store, TenantStore
from shared.tracking.tenants import Tenant

TAKES = {"list": (), "delete": ("NAME",)}
MB = 1e6


def run_command(options: Namespace) -> None:
    """Run one of the actions.

    Raises
    ------
    FedtwinError
    """
    check_words(options, takes=TAKES)
    home = open_home()
    with Store(home.database_url) as store:
        tenant = Tenant(options.tenant)
        store.tenants.get(tenant)
        ACTIONS[options.action](options, store.of(tenant), home)


def _list(options: Namespace, store: TenantStore, home: Home) -> None:
    rows = store.datasets.search()
    if options.format == "json":
        print(
            json.dumps([{**row.as_dict(), "used_by": store.datasets.users(row.id)} for row in rows], indent=2)
        )
        return
    titles = ("name", "format", "state", "MB", "to train on", "used by", "uploaded", "error")
    listed = table(*titles, title="datasets", light=True)
    for row in rows:
        found = (
            "-" if row.labelled is None else f"{row.labelled:,} {'rows' if row.kind == 'table' else 'images'}"
        )
        used = ", ".join(store.datasets.users(row.id)) or "-"
        time = row.created.isoformat(sep=" ", timespec="minutes")
        about = (row.name, row.format, row.state, f"{row.bytes / MB:.1f}", found, used, time)
        listed.add_row(*map(plain, (*about, row.error or "-")))
    Console().print(listed)


def _delete(options: Namespace, store: TenantStore, home: Home) -> None:
    row = store.datasets.get(options.what[0])
    if not options.yes:
        confirm(f"Delete dataset {row.name} of {row.bytes / MB:.1f} MB? Runs that were trained on it stay.")
    delete_dataset(store, row.name, home=home)
    print(f"dataset {row.name} is deleted")


ACTIONS = {"list": _list, "delete": _delete}
