"""``fedtwin webhooks``: lists webhooks; makes, tests, deletes one; shows what was sent, and sends it again."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from fedtwin.cli.action_words import check_words
from service.webhooks.address import parse_url
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.home import open_home
from shared.tracking.show import plain, table
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from shared.tracking.webhook_tables import EVENTS

# By action: what it takes.
TAKES = {
    "list": (),
    "create": ("URL",),
    "delete": ("WEBHOOK",),
    "test": ("WEBHOOK",),
    "deliveries": ("WEBHOOK",),
    "resend": ("WEBHOOK", "DELIVERY"),
}


def run_command(options: Namespace) -> None:
    """Run one of the actions.

    Raises
    ------
    FedtwinError
    """
    check_words(options, takes=TAKES)
    home = open_home()
    with Store(home.database_url) as store:
        ACTIONS[options.action](options, store)


def _list(options: Namespace, store: Store) -> None:
    rows = store.webhooks.search()
    if options.format == "json":
        print(json.dumps([row.as_dict() for row in rows], indent=2))
        return
    listed = table("id", "tenant", "url", "events", title="webhooks", light=True)
    for row in rows:
        events = "all" if tuple(row.events) == EVENTS else ", ".join(row.events)
        listed.add_row(str(row.id), row.tenant, plain(row.url), events)
    Console().print(listed)


def _create(options: Namespace, store: Store) -> None:
    (url,) = options.what
    parse_url(url)  # whether it may be reached is the server's setting
    row, secret = store.webhooks.create(url, events=options.event or EVENTS, owner=Tenant(options.tenant))
    if options.format == "json":
        print(json.dumps({**row.as_dict(), "secret": secret}, indent=2))
        return
    Console(stderr=True).print(
        plain(f"webhook {row.id}: events of tenant {row.tenant} are sent to {row.url}. Its secret, shown once:")
    )
    print(secret)


def _delete(options: Namespace, store: Store) -> None:
    number = _number(options.what[0])
    store.webhooks.delete(number)
    print(f"webhook {number} is deleted")


def _test(options: Namespace, store: Store) -> None:
    number = _number(options.what[0])
    row = store.webhooks.test(number)
    seen = f"fedtwin webhooks deliveries {number} tells how it went"
    print(f"delivery {row.id} ({row.event}) is sent by the server; {seen}")


def _deliveries(options: Namespace, store: Store) -> None:
    number = _number(options.what[0])
    if store.webhooks.find(number) is None:
        raise TrackingError(f"there is no webhook {number}; `fedtwin webhooks` lists those that are")
    rows = store.webhooks.deliveries(number, status=options.status, limit=options.limit)
    if options.format == "json":
        print(json.dumps([row.as_dict() for row in rows], indent=2))
        return
    listed = table("id", "event", "status", "attempts", "time", "last answer", title="deliveries", light=True)
    for row in rows:
        time = row.created.isoformat(sep=" ", timespec="seconds")
        last = row.error or ("-" if row.answer is None else str(row.answer))
        listed.add_row(str(row.id), row.event, row.status, str(row.attempts), time, plain(last))
    Console().print(listed)


def _resend(options: Namespace, store: Store) -> None:
    row = store.webhooks.resend(*map(_number, options.what))
    print(f"delivery {row.id} ({row.event}) is sent again by the server")


ACTIONS = {
    "list": _list,
    "create": _create,
    "delete": _delete,
    "test": _test,
    "deliveries": _deliveries,
    "resend": _resend,
}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(f"expected a number (fedtwin webhooks lists them), got {text!r}")
    return int(text)
