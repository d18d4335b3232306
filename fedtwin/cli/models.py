"""``fedtwin models``: lists registered models; shows, promotes, rolls back, compares and describes versions."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from rich.console import Console

from fedtwin.cli.action_words import check_words
from fedtwin.records import Run
from fedtwin.registry import compared, split_ref
from shared.metrics.catalogue import label
from shared.runtime.errors import ConfigError, ExportError
from shared.runtime.export_formats import SUFFIXES, unavailable
from shared.runtime.files import check_new
from shared.runtime.home import Home, open_home
from shared.runtime.waiting import waiting
from shared.tracking.rows import MODE_NAMES, json_ready
from shared.tracking.show import plain, table
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT, Tenant

# By action: what it takes besides the model.
TAKES = {
    "list": (),
    "show": ("NAME",),
    "promote": ("NAME[@VERSION]",),
    "rollback": ("NAME",),
    "remove-alias": ("NAME",),
    "threshold": ("NAME", "THRESHOLD"),
    "register": ("RUN",),
    "compare": ("FIRST", "SECOND"),
    "card": ("NAME[@VERSION]",),
    "export": ("NAME[@VERSION]",),
    "formats": (),
}
_MOST = 4  # metrics of a version in a list


def run_command(options: Namespace) -> None:
    """Run one of the actions.

    Raises
    ------
    FedtwinError
    """
    check_words(options, takes=TAKES)
    if options.action != "export" and options.format not in ("table", "json"):
        raise ConfigError(f"--format {options.format} is for fedtwin models export")
    home = open_home()
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        if options.tenant is not None:
            tenant = Tenant(options.tenant)
            store.tenants.get(tenant)  # rather than a tenant without models
            ACTIONS[options.action](options, store.of(tenant), home)
        else:
            ACTIONS[options.action](options, store, home)


def _list(options: Namespace, store: Store, home: Home) -> None:
    rows = store.models.search()
    aliases = {row.name: store.models.aliases(row.name) for row in rows}
    if options.format == "json":
        print(json.dumps([{**row.as_dict(), "aliases": aliases[row.name]} for row in rows], indent=2))
        return
    listed = table("model", "versions", "latest", "aliases", "threshold", title="models", light=True)
    for row in rows:
        named = ", ".join(f"{alias} {version}" for alias, version in sorted(aliases[row.name].items()))
        cells = (row.name, str(row.versions), row.latest or "-", named or "-", row.threshold or "not set")
        listed.add_row(*map(plain, cells))
    Console().print(listed)


def _show(options: Namespace, store: Store, home: Home) -> None:
    (name,) = options.what
    row = store.models.get(name)
    versions = [(one, store.runs.get(one.run_id)) for one in store.models.versions(name, limit=options.limit)]
    history = store.models.history(name)
    if options.format == "json":
        shown: dict[str, Any] = row.as_dict()
        shown["versions"] = [
            {
                **one.as_dict(),
                "mode": MODE_NAMES[run.training_mode],
                "test": json_ready(run.summary.get("test") or {}),
            }
            for one, run in versions
        ]
        shown["history"] = [event.as_dict() for event in history]
        print(json.dumps(shown, indent=2))
        return
    console = Console()
    listed = table("version", "run", "mode", "aliases", "metrics", "why", title=f"model {row.name}", light=True)
    for one, run in versions:
        test = list((run.summary.get("test") or {}).items())[:_MOST]
        metrics = ", ".join(f"{label(metric)} {value:.3f}" for metric, value in test)
        cells = (one.version, str(one.run_id), MODE_NAMES[run.training_mode], ", ".join(one.aliases) or "-")
        listed.add_row(*map(plain, (*cells, metrics or "-", one.reason)))
    console.print(listed)
    console.print(plain(f"threshold of production: {row.threshold or 'not set'}"))
    if not history:
        return
    happened = table("time", "event", "alias", "version", "detail", title="history", light=True)
    for event in history[: options.limit]:
        time, kind = event.time.isoformat(sep=" ", timespec="seconds"), event.kind.replace("_", " ")
        happened.add_row(*map(plain, (time, kind, event.alias or "-", event.version or "-", event.detail)))
    console.print(happened)


def _promote(options: Namespace, store: Store, home: Home) -> None:
    name, version = split_ref(options.what[0])
    row = store.models.promote(name, version, alias=options.alias)
    print(f"{options.alias} of model {row.model} is version {row.version} (run {row.run_id})")


def _rollback(options: Namespace, store: Store, home: Home) -> None:
    row = store.models.rollback(options.what[0], alias=options.alias)
    print(f"{options.alias} of model {row.model} is version {row.version} again (run {row.run_id})")


def _remove_alias(options: Namespace, store: Store, home: Home) -> None:
    store.models.remove_alias(options.what[0], options.alias)
    print(f"{options.alias} of model {options.what[0]} names no version now")


def _threshold(options: Namespace, store: Store, home: Home) -> None:
    row = store.models.set_threshold(*options.what)
    print(f"threshold of model {row.name}: {row.threshold}")


def _register(options: Namespace, store: Store, home: Home) -> None:
    (run,) = options.what
    if not (run.isascii() and run.isdecimal()):
        raise ConfigError(f"expected a run's number (fedtwin runs lists them), got {run!r}")
    row = store.models.register(int(run))
    whose = "" if row.tenant == DEFAULT.name else f" of tenant {row.tenant}"
    print(f"run {run} is version {row.version} of model {row.model}{whose}")


def _compare(options: Namespace, store: Store, home: Home) -> None:
    from shared.metrics.difference import difference_record, difference_sentence

    first, second = options.what
    runs = [_run_of(one, store, home) for one in (first, second)]
    records = [difference_record(row) for row in compared(*runs, confidence=options.confidence)]
    sentence = difference_sentence(records, first=first, second=second)
    if options.format == "json":
        print(
            json.dumps({"first": first, "second": second, "sentence": sentence, "metrics": records}, indent=2)
        )
        return
    title = f"{first} (first) and {second} (second)"
    listed = table("metric", "first", "second", "second - first", "second is", title=title, light=True)
    for record in records:
        text = record["text"]
        cells = (record["label"], text["first"], text["second"], text["difference"], record["verdict"])
        listed.add_row(*map(plain, cells))
    console = Console()
    console.print(listed)
    console.print(plain(sentence))


def _card(options: Namespace, store: Store, home: Home) -> None:
    from shared.tracking.model_card import card_markdown, model_card

    card = model_card(store, store.models.resolve(*split_ref(options.what[0])), home=home)
    print(json.dumps(card, indent=2) if options.format == "json" else card_markdown(card))


def _export(options: Namespace, store: Store, home: Home) -> None:
    if options.format not in SUFFIXES or options.output is None:
        raise ConfigError(f"fedtwin models export needs --format {{{','.join(SUFFIXES)}}} and --output FILE")
    if why := unavailable(options.format):
        raise ExportError(why)
    check_new(options.output, force=options.force)
    with waiting("exporting the model, and checking the file"):
        from fedtwin.exporting import export_model  # which imports torch

        run = _run_of(options.what[0], store, home)
        print(export_model(run, options.output, format=options.format, rows=options.rows))


def _run_of(ref: str, store: Store, home: Home) -> Run:
    """The run that a number or a version of a model means."""
    if ref.isascii() and ref.isdecimal():
        return Run(store.runs.get(int(ref)), home)
    return Run(store.runs.get(store.models.resolve(*split_ref(ref)).run_id), home)


def _formats(options: Namespace, store: Store, home: Home) -> None:
    for format in SUFFIXES:
        print(unavailable(format) or f"{format} is available")


ACTIONS = {
    "list": _list,
    "show": _show,
    "promote": _promote,
    "rollback": _rollback,
    "remove-alias": _remove_alias,
    "threshold": _threshold,
    "register": _register,
    "compare": _compare,
    "card": _card,
    "export": _export,
    "formats": _formats,
}
