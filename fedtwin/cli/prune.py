"""``fedtwin prune``: deletes old runs with their files, caches, audit entries; or thins the rows of clients."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.data.cache import drop_entry, unused_entries
from shared.runtime.errors import ConfigError, DiskError, TrackingError
from shared.runtime.home import Home, open_home
from shared.tracking.deletion import delete_files
from shared.tracking.pruning import Candidate, Choice, candidates, compact, size_of, thin_clients
from shared.tracking.show import plain
from shared.tracking.store import Store

MB = 1e6


def run_command(options: Namespace) -> None:
    """Say what would go, or with ``--yes`` delete it.

    Parameters
    ----------
    options : Namespace
        From `fedtwin.cli.parser.parse`.

    Raises
    ------
    FedtwinError
        No condition was given, or something cannot be deleted.
    """
    for name, given, what in (
        ("--cache", options.cache, "for how long data was not used"),
        ("--audit", options.audit, "the age of entries"),
    ):
        if given and (options.older_than is None or options.status or options.keep_last is not None):
            raise ConfigError(f"{name} takes --older-than 90d, {what}, and nothing else")
    if (
        options.older_than is None
        and not options.status
        and options.keep_last is None
        and not options.leftovers
    ):
        raise ConfigError(
            "say which runs: --older-than 90d, --status failed or --keep-last 20, one or several of them; "
            "or --leftovers; or --cache or --audit with --older-than"
        )
    home = open_home()
    if options.cache:
        _cached(home, older_than=options.older_than, yes=options.yes)
        return
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        if options.audit:
            _audited(store, older_than=options.older_than, yes=options.yes)
            return
        if options.leftovers:
            _leftovers(store, home, yes=options.yes)
            return
        choice = Choice(
            older_than=options.older_than, statuses=options.status, keep_last=options.keep_last or 0
        )
        _prune(store, home, candidates(store, home, choice), thin=options.thin_clients, yes=options.yes)


def _prune(store: Store, home: Home, chosen: Sequence[Candidate], *, thin: bool, yes: bool) -> None:
    before = _database_bytes(store)
    going = [one for one in chosen if not one.kept_because]
    rows = 0
    for one in chosen:
        kept = f"  stays: {one.kept_because}" if one.kept_because else ""
        print(f"{_named(one)}  {one.rows:,} rows, {one.num_bytes / MB:.1f} MB of files{kept}", flush=True)
        if kept or not yes:
            continue
        if thin:
            rows += sum(thin_clients(store.database, run.id) for run in one.runs)
            continue
        # The rows first: files that are left behind by a kill here are found by `--leftovers`.
        for run_id in store.runs.delete(one.runs[0].id, with_children=True):
            delete_files(run_id, home, jobs=store.jobs.of_run(run_id))
        rows += one.rows
    files = 0 if thin else sum(one.num_bytes for one in going)
    if not yes:
        what = "thinned" if thin else "deleted"
        total = sum(one.rows for one in going)
        print(f"{len(going)} of {len(chosen)} would be {what}: {total:,} rows, {files / MB:.1f} MB of files")
        print("nothing was changed; with --yes it is done")
        return
    if going:
        _compact(store)
    freed = max(0, before - _database_bytes(store))
    space = f"{freed / MB:.1f} MB of the database, {files / MB:.1f} MB of files"
    print(f"{'thinned' if thin else 'deleted'} {len(going)}: {rows:,} rows, {space}")


def _compact(store: Store) -> None:
    living = [run.id for status in ("running", "pending") for run in store.runs.search(status=status)]
    if living and store.kind == "sqlite":
        print(f"the database file keeps its size, as run {living[0]} uses it; new rows take the space")
        return
    compact(store.database)


def _leftovers(store: Store, home: Home, *, yes: bool) -> None:
    found = leftovers(store, home)
    for path in found:
        print(f"{path}  {size_of(path) / MB:.1f} MB", flush=True)
        if yes:
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                raise TrackingError(f"cannot delete {path}: {error.strerror}; remove it by hand") from None
    print(f"{len(found)} {'deleted' if yes else 'would be deleted; with --yes it is done'}")
    if not yes and found:
        print(
            f"these runs are not in {store.database.shown}; runs of another database have their files here too"
        )


def _cached(home: Home, *, older_than: timedelta, yes: bool) -> None:
    total, found = 0, unused_entries(home.cache, since=datetime.now(UTC) - older_than)
    for path in found:
        size = size_of(path)
        total += size
        print(f"{path}  {size / MB:.1f} MB", flush=True)
        if yes:
            drop_entry(home.cache, key=path.name)
            if path.exists():
                raise DiskError(f"cannot delete {path}; mend its permissions, or remove it by hand")
    what = "deleted" if yes else "would be deleted; with --yes it is done"
    print(f"{len(found)} cached data sets, {total / MB:.1f} MB, {what}; a run that needs one reads it again")


def _audited(store: Store, *, older_than: timedelta, yes: bool) -> None:
    before = datetime.now(UTC) - older_than
    number = store.audit.forget(before) if yes else store.audit.count(before)
    since = before.isoformat(sep=" ", timespec="minutes")
    what = "deleted" if yes else "would be deleted; with --yes it is done"
    print(f"{number:,} entries of the audit log, of before {since}, {what}")


def leftovers(store: Store, home: Home) -> list[Path]:
    """Files in the home of runs that the database does not have, and logs of jobs that trained such a run."""
    known = {run.id for run in store.runs.search()}
    found = [
        *(home.root / "runs").glob("*"),
        *home.results.glob("compare_*"),
        *home.results.glob("metrics_*.*"),
    ]
    runs = [path for path in found if (number := _run_of(path)) is not None and number not in known]
    logs = [path for path in (home.root / "jobs").glob("*") if _is_left_log(path, store)]
    return sorted([*runs, *logs])


def _is_left_log(path: Path, store: Store) -> bool:
    number = _run_of(path)
    if number is None or not path.is_dir():
        return False
    row = store.jobs.find(number)
    if row is None:
        return True
    gone = row.finished and row.run_id is None
    return gone and any(event.kind == "run" for event in store.jobs.events(number))


def _run_of(path: Path) -> int | None:
    text = path.stem.removeprefix("compare_").removeprefix("metrics_")
    return int(text) if text.isascii() and text.isdecimal() else None


def _named(one: Candidate) -> str:
    top, *children = one.runs
    more = f" with {', '.join(str(run.id) for run in children)}" if children else ""
    return f"run {top.id}{more}  {plain(top.name)}  ({top.status})"


def _database_bytes(store: Store) -> int:
    if store.kind != "sqlite":
        return 0
    path = Path(str(store.database.path))
    return sum(size_of(Path(f"{path}{suffix}")) for suffix in ("", "-wal"))
