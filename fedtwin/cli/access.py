"""``fedtwin token`` and ``fedtwin tenant``: who may use the server, as whom, and how much."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from shared.runtime.errors import ConfigError
from shared.runtime.home import open_home
from shared.tracking.show import plain, table
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant, TenantRow
from shared.tracking.tokens import TokenRow

LIMITS = ("max_running", "max_queued", "max_dataset_bytes")  # of a tenant


def run_command(options: Namespace) -> None:
    """Run one of the subcommands.

    Raises
    ------
    FedtwinError
    """
    needs = {"create": "a name", "revoke": "a token's number", "limit": "a name"}.get(options.action)
    if (options.what is None) != (needs is None):
        raise ConfigError(
            f"fedtwin {options.command} {options.action} takes nothing more, got {options.what!r}"
            if needs is None
            else f"fedtwin {options.command} {options.action} needs {needs}"
        )
    home = open_home()
    with Store(home.database_url) as store:
        ACTIONS[options.command, options.action](options, store)


def _create_token(options: Namespace, store: Store) -> None:
    expires = None if options.expires is None else datetime.now(UTC) + options.expires
    row, secret = store.tokens.create(
        Tenant(options.tenant), name=options.what, scope=options.scope, expires=expires
    )
    if options.format == "json":
        print(json.dumps({**row.as_dict(), "token": secret}, indent=2))
        return
    until = "does not expire" if row.expires is None else f"expires {_shown(row.expires)}"
    Console(stderr=True).print(
        plain(
            f"token {row.id} ({row.name}): tenant {row.tenant}, scope {row.scope}, {until}. "
            "It is shown this once; only its SHA-256 is stored."
        )
    )
    print(secret)


def _list_tokens(options: Namespace, store: Store) -> None:
    rows, now = store.tokens.search(), datetime.now(UTC)
    if options.format == "json":
        print(json.dumps([{**row.as_dict(), "state": row.state(now)} for row in rows], indent=2))
    else:
        _print_tokens(rows, now)


def _revoke_token(options: Namespace, store: Store) -> None:
    if not (options.what.isascii() and options.what.isdecimal() and len(options.what) < 10):
        raise ConfigError(f"expected a token's number (fedtwin token list), got {options.what!r}")
    row = store.tokens.revoke(int(options.what))
    print(f"token {row.id} ({row.name}) is revoked")


def _create_tenant(options: Namespace, store: Store) -> None:
    limits = {name: getattr(options, name) for name in LIMITS}
    _print_tenants([store.tenants.create(Tenant(options.what), **{k: v or None for k, v in limits.items()})])


def _limit_tenant(options: Namespace, store: Store) -> None:
    before = store.tenants.get(Tenant(options.what))
    limits = {
        name: getattr(before, name) if (given := getattr(options, name)) is None else given or None
        for name in LIMITS
    }
    _print_tenants([store.tenants.limit(Tenant(options.what), **limits)])


def _list_tenants(options: Namespace, store: Store) -> None:
    rows = store.tenants.search()
    if options.format == "json":
        print(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        _print_tenants(rows)


ACTIONS = {
    ("token", "create"): _create_token,
    ("token", "list"): _list_tokens,
    ("token", "revoke"): _revoke_token,
    ("tenant", "create"): _create_tenant,
    ("tenant", "limit"): _limit_tenant,
    ("tenant", "list"): _list_tenants,
}


def _print_tokens(rows: Sequence[TokenRow], now: datetime) -> None:
    listed = table("id", "name", "tenant", "scope", "state", "expires", title="tokens", light=True)
    for row in rows:
        until = "-" if row.expires is None else _shown(row.expires)
        listed.add_row(str(row.id), plain(row.name), row.tenant, row.scope, row.state(now), until)
    Console().print(listed)


def _print_tenants(rows: Sequence[TenantRow]) -> None:
    titles = ("tenant", "running at most", "queued at most", "bytes of datasets at most")
    listed = table(*titles, title="tenants", light=True)
    for row in rows:
        listed.add_row(row.name, *(f"{one:,}" if (one := getattr(row, name)) else "-" for name in LIMITS))
    Console().print(listed)


def _shown(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="minutes")
