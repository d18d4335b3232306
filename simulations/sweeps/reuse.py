"""`find_reusable`: completed runs that have computed what a trial would compute, from the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.config.stored import upgrade
from shared.data.row_keys import other_rows
from shared.sweeps.plan import Mode
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial
from shared.tracking.twins import members_of
from simulations.sweeps.trials import digest_of, rows_named

RowKeys = Mapping[str, Mapping[str, Any]]  # by `rows_named`, from `shared.data.row_keys.row_keys`


def find_reusable(trials: Sequence[NewTrial], *, mode: Mode, keys: RowKeys, store: Store) -> list[NewTrial]:
    """The trials, with the run of those that were run before, as trials or by a command of their own.

    Parameters
    ----------
    keys : mapping
        Of the rows that each choice of data has now: a run on other rows is not reused.
    """
    known: dict[str, RunRow] = {}
    for run in store.runs.search(mode=mode, status="completed"):  # newest first
        if not run.summary.get("of_runs"):
            known.setdefault(digest_of(mode, upgrade(run.config)), run)
    found = []
    for trial in trials:
        before = known.get(trial.digest)
        rows = keys.get(rows_named(trial.config))
        same = before is not None and _has_rows(before, rows, store=store)
        found.append(replace(trial, run_id=before.id) if before is not None and same else trial)
    return found


def _has_rows(run: RunRow, now: Mapping[str, Any] | None, *, store: Store) -> bool:
    runs = [run] if run.training_mode != "compare" else members_of(store, run)
    then = [kept for one in runs if one.training_mode != "local" and (kept := one.summary.get("row_keys"))]
    return bool(now and then) and not any(
        other_rows(kept, now or {}, when="then", at_present="now") for kept in then
    )
