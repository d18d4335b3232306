"""``fedtwin doctor``: checks this home and this machine, and says how to fix what is wrong."""

from __future__ import annotations

import shlex
import shutil
import stat
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import sqlalchemy as sa

from federated.launch.local_superlink import left_behind
from fedtwin.cli.prune import leftovers
from shared.runtime.errors import TrackingError
from shared.runtime.findings import Finding, State, show
from shared.runtime.home import PRIVATE_UMASK, Home, is_shared, open_home
from shared.tracking.journal import left_journals
from shared.tracking.pruning import size_of
from shared.tracking.rows import RunRow
from shared.tracking.run_life import orphans
from shared.tracking.store import Store

GB = 1e9
FAILED_GB, LOW_GB = 0.5, 5.0  # free on the disk
EXTRAS = ("medmnist", "dicom")


def run_command(options: Namespace) -> None:
    """Check, print the findings, and exit with 1 if something failed.

    Parameters
    ----------
    options : Namespace
        From `fedtwin.cli.parser.parse`.

    Raises
    ------
    FedtwinError
        There can be no home.
    """
    home = open_home()
    with Store(home.database_url) as store:
        findings = [*check(store, home)]
    show(findings, good="nothing to fix", bad="to fix", as_json=options.json)
    sys.exit(1 if any(finding.state == "failed" for finding in findings) else 0)


def check(store: Store, home: Home) -> Iterator[Finding]:
    """All findings; what needs the database is left out where it cannot be used."""
    yield from _home(home)
    yield from _cache(home)
    yield from _versions()
    try:
        runs = store.runs.search()
    except TrackingError as error:
        yield Finding("database", "failed", str(error), "see docs/live.md, or set FEDTWIN_DATABASE_URL")
        return
    yield _database(store, runs)
    yield _processes(store, runs)
    yield _superlinks(store, home)
    yield from _files(store, home, runs)
    yield from _checkpoints(home, runs)
    yield from _journals(store, home)


def _home(home: Home) -> Iterator[Finding]:
    mode = stat.S_IMODE(home.root.stat().st_mode)
    open_to_others = mode & PRIVATE_UMASK and not is_shared()
    yield Finding(
        "home",
        "warning" if open_to_others else "ok",
        f"{home.root} (mode {mode:o})"
        + (": other users of this machine may read it" if open_to_others else ""),
        f"chmod -R go-rwx {shlex.quote(str(home.root))}" if open_to_others else "",
    )
    free = shutil.disk_usage(home.root).free / GB
    state: State = "failed" if free < FAILED_GB else "warning" if free < LOW_GB else "ok"
    fix = "" if state == "ok" else "fedtwin prune --older-than 90d"
    yield Finding("disk", state, f"{free:.1f} GB free at {home.root}", fix)


def _cache(home: Home) -> Iterator[Finding]:
    from shared.data.cache import entries
    from shared.data.seal import is_whole

    there = entries(home.cache)
    unfinished = [path for path in there if path.suffix == ".tmp"]
    damaged = [path for path in there if path not in unfinished and not is_whole(path)]
    found = f"{len(there) - len(unfinished)} data sets, {size_of(home.cache) / GB:.2f} GB"
    if not unfinished and not damaged:
        yield Finding("cache", "ok", found)
    if unfinished:
        text = f"{found}; {len(unfinished)} unfinished (one may be in the making)"
        yield Finding("cache", "warning", text, f"rm -r {_quoted(unfinished)}")
    if damaged:
        text = f"{len(damaged)} damaged, or of an older version: the next run that needs one builds it again"
        yield Finding("cache entries", "warning", text, f"rm -r {_quoted(damaged)}")


def _quoted(paths: Iterable[Path]) -> str:
    return " ".join(shlex.quote(str(path)) for path in paths)


def _versions() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    python = ".".join(map(str, sys.version_info[:3]))
    try:
        needed = [Requirement(text) for text in requires("fedtwin") or ()]
    except PackageNotFoundError:
        yield Finding("versions", "warning", f"python {python}; fedtwin is not installed here", "pip install .")
        return
    wrong, known = [], [f"python {python}", f"fedtwin {version('fedtwin')}"]
    for one in needed:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            here = version(one.name)
        except PackageNotFoundError:
            wrong.append(one)
            continue
        if not one.specifier.contains(here, prereleases=True):
            wrong.append(one)
        if one.name in ("torch", "flwr", "lightning"):
            known.append(f"{one.name} {here}")
    text = "; ".join(f"{one.name}{one.specifier} is needed" for one in wrong)
    fix = "pip install " + " ".join(shlex.quote(f"{one.name}{one.specifier}") for one in wrong)
    yield Finding("versions", "failed" if wrong else "ok", text or ", ".join(known), fix if wrong else "")
    absent = [
        extra
        for extra in EXTRAS
        if not all(
            _is_here(one.name)
            for one in needed
            if one.marker is not None and one.marker.evaluate({"extra": extra})
        )
    ]
    text = f"not installed: {', '.join(absent)}" if absent else f"installed: {', '.join(EXTRAS)}"
    fix = f"pip install 'fedtwin[{','.join(absent)}]', if you need them" if absent else ""
    yield Finding("extras", "skipped" if absent else "ok", text, fix)


def _is_here(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _database(store: Store, runs: list[RunRow]) -> Finding:
    database = store.database
    if database.is_sqlite:
        with database.read() as connection:
            damage = [row[0] for row in connection.execute(sa.text("PRAGMA quick_check(5)"))]
            lost = connection.execute(sa.text("PRAGMA foreign_key_check")).all()
        if damage != ["ok"]:
            recover = f"sqlite3 {shlex.quote(str(database.path))} .recover, into a new file; or a backup"
            return Finding("database", "failed", f"{database.shown} is damaged: {'; '.join(damage)}", recover)
        if lost:
            tables = ", ".join(sorted({row[0] for row in lost}))
            text = f"{len(lost):,} rows of runs that are gone ({tables})"
            delete = "DELETE FROM TABLE WHERE run_id NOT IN (SELECT id FROM run)"
            fix = f'sqlite3 {shlex.quote(str(database.path))} "{delete}"'
            return Finding("database", "warning", text, fix)
    if database.read_only:
        return Finding(
            "database", "warning", database.read_only, "FEDTWIN_HOME=FOLDER, where it shall be written"
        )
    return Finding("database", "ok", f"{database.shown}, {len(runs):,} runs, schema {store.schema}")


def _processes(store: Store, runs: list[RunRow]) -> Finding:
    gone = orphans(store.database)
    if gone:
        ids = ", ".join(map(str, sorted(gone)))
        text = f"the process of run {ids} is gone: marked failed by the next command"
        return Finding("runs", "warning", text, f"fedtwin resume {min(gone)}")
    living = [f"{run.id} ({run.status}, on {run.host})" for run in runs if not run.finished]
    return Finding("runs", "ok", f"under way: {', '.join(living)}" if living else "none is under way")


def _superlinks(store: Store, home: Home) -> Finding:
    stale, every = left_behind(store, home=home), [*home.root.glob("flower-*/")]
    if stale:
        names = ", ".join(path.name for path in stale)
        return Finding("superlinks", "warning", f"left by killed commands: {names}", "fedtwin runs")
    return Finding("superlinks", "ok", f"{len(every)} of this home under way")


def _files(store: Store, home: Home, runs: list[RunRow]) -> Iterator[Finding]:
    here = [run for run in runs if run.status == "completed" and run.training_mode not in ("compare", "sweep")]
    without = [str(run.id) for run in here if not home.run_dir(run.id).is_dir()]
    if without:
        text = f"run {', '.join(without[:20])}{' ...' if len(without) > 20 else ''}: no files here"
        yield Finding("files", "warning", f"{text}, trained elsewhere or removed", "copy runs/ID from there")
    more = leftovers(store, home)
    if more:
        text = f"{len(more)} of runs that the database does not have, {sum(map(size_of, more)) / GB:.2f} GB"
        yield Finding("files", "warning", text, "fedtwin prune --leftovers")
    if not without and not more:
        yield Finding("files", "ok", "each run has its folder, and each folder its run")


def _checkpoints(home: Home, runs: list[RunRow]) -> Iterator[Finding]:
    missing = []
    for run in runs:
        folder = home.run_dir(run.id) / "checkpoints"
        if not run.finished or not folder.is_dir():
            continue
        suffix = "safetensors" if run.training_mode == "federated" else "ckpt"
        pair = [folder / f"{name}.{suffix}" for name in ("best", "last")]
        gone = [path.name for path in pair if not path.is_file()]
        if len(gone) == 1:
            missing.append(f"run {run.id} lacks {gone[0]}")
    if missing:
        text = f"{'; '.join(missing[:20])}{' ...' if len(missing) > 20 else ''}"
        fix = "copy it from a backup: without last a run is not resumed, without best its model is not read"
        yield Finding("checkpoints", "warning", text, fix)
    else:
        yield Finding("checkpoints", "ok", "no run lacks one of its two")


def _journals(store: Store, home: Home) -> Iterator[Finding]:
    here, others = [], []
    for left in left_journals(home.journals):
        run = store.runs.find(run_id) if isinstance(run_id := left.head.get("run"), int) else None
        if run is not None and run.started.isoformat() == left.head.get("started"):
            here.append(f"{len(left.records)} of run {run.id}")
        elif left.head:
            others.append(left.path)
    if here:
        text = f"changes wait for the database: {', '.join(here)}"
        yield Finding("journals", "warning", text, "fedtwin runs, which writes them")
    if others:
        text = (
            f"{len(others)} of runs that this database does not have: it is another one, or they were deleted"
        )
        yield Finding("other journals", "warning", text, f"rm {_quoted(others)}, if these runs are gone")
    if not here and not others:
        yield Finding("journals", "ok", "nothing waits for the database")
