"""The commands that change stored runs: ``delete``, ``rename`` and ``tag``."""

from __future__ import annotations

import sys
from argparse import Namespace

from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.home import Home, open_home
from shared.tracking.deletion import delete_files
from shared.tracking.rows import MODE_NAMES, RunRow
from shared.tracking.store import Store


def run_command(options: Namespace) -> None:
    """Run one of these commands.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin.cli.parser`.

    Raises
    ------
    FedtwinError
    """
    home = open_home()
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        COMMANDS[options.command](options, store, home)


def _delete(options: Namespace, store: Store, home: Home) -> None:
    run, children = store.runs.get(options.run), store.runs.children(options.run)
    chosen = [run, *children] if options.with_children else [run]
    for one in chosen:
        print(f"run {one.id}  {_printable(one.name)}  ({MODE_NAMES[one.training_mode]}, {one.status})")
        if version := store.models.of_run(one.id):
            named = f" ({', '.join(version.aliases)})" if version.aliases else ""
            print(f"  with it goes version {version.version} of model {version.model}{named}")
    if children and not options.with_children:
        print(f"{_listed(children)} stay, as runs of their own; --with-children deletes them too")
    if not options.yes:
        confirm(f"Delete {_listed(chosen)} with all files?")
    deleted = store.runs.delete(run.id, with_children=options.with_children, force=options.force)
    # The rows first: files that are left behind are found by nobody, as ids are never used again.
    for run_id in deleted:
        delete_files(run_id, home, jobs=store.jobs.of_run(run_id))
    print(f"deleted {', '.join(map(str, deleted))}")


def _rename(options: Namespace, store: Store, home: Home) -> None:
    if not options.name.strip():
        raise ConfigError("a run's name must not be empty")
    store.runs.rename(options.run, options.name.strip())
    print(f"run {options.run} is now called {_printable(options.name.strip())}")


def _tag(options: Namespace, store: Store, home: Home) -> None:
    if wrong := [tag for tag in options.tags if not tag or tag.split() != [tag] or "," in tag]:
        raise ConfigError(f"a tag is one word without commas, got {', '.join(map(repr, wrong))}")
    tags = store.runs.tag(options.run, add=options.tags, remove=options.remove)
    print(f"run {options.run}: {_printable(', '.join(tags)) or 'no tags'}")


def confirm(question: str) -> None:
    """Ask before something is deleted.

    Raises
    ------
    ConfigError
        Nobody can be asked.
    TrackingError
        The answer is no.
    """
    if not sys.stdin or not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: pass --yes to delete without a question")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise TrackingError("nothing was deleted")


def _listed(runs: list[RunRow]) -> str:
    ids = ", ".join(str(run.id) for run in runs)
    return f"run {ids}" if len(runs) == 1 else f"runs {ids}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


COMMANDS = {"delete": _delete, "rename": _rename, "tag": _tag}
