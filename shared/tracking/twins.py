"""What is told of a comparison's runs: after which epoch and round they were tested, and their warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shared.metrics.catalogue import naming
from shared.metrics.gap_record import gap_record, gap_report
from shared.metrics.headline import stored_headline
from shared.tracking.rows import MODE_NAMES, RunRow
from shared.tracking.store import Store

BORROWED = "borrowed"  # in the summary of a comparison: pooled twins that it shares with others
_UNITS = {"centralized": "epoch", "federated": "round"}


def when_tested(runs: Sequence[RunRow]) -> str:
    """A sentence with the tested epochs and rounds of pooled and federated runs.

    Returns
    -------
    str
        Such as ``Tested after epoch 4 (pooled) and round 9 (federated).``; empty if one is not known.
    """
    parts = []
    for mode, unit in _UNITS.items():
        own = [run for run in runs if run.training_mode == mode]
        numbers = [run.summary.get(f"test_{unit}") for run in own]
        if not numbers or None in numbers:
            return ""
        several = "s" if len(numbers) > 1 else ""
        parts.append(f"{unit}{several} {', '.join(map(str, numbers))} ({MODE_NAMES[mode]})")
    return f"Tested after {' and '.join(parts)}."


def warnings_of(runs: Iterable[RunRow]) -> list[str]:
    """The warnings of runs; of several, each says which run it is about, unless it is the comparison."""
    runs = list(runs)
    seeds = len({run.seed for run in runs if run.training_mode != "compare"}) > 1
    found = []
    for run in runs:
        mode = MODE_NAMES[run.training_mode]
        who = run.name if run.training_mode == "local" else mode
        about = (
            ""
            if len(runs) == 1 or run.training_mode == "compare"
            else f"{who}{f', seed {run.seed}' if seeds else ''}: "
        )
        found += [f"{about}{text}" for text in run.summary.get("warnings") or ()]
    return found


def positive_class(runs: Iterable[RunRow]) -> str | None:
    """The positive of two classes, by whose name metrics are called; None where runs differ, or know none."""
    found = {run.summary["data"].get("positive") for run in runs if run.summary.get("data")}
    return found.pop() if len(found) == 1 else None


def number_of_clients(store: Store, runs: Iterable[RunRow]) -> int:
    """How many clients the federated runs of a comparison had; as configured where none has begun."""
    runs = list(runs)
    counts = (len(store.clients.of_run(run.id)) for run in runs if run.training_mode == "federated")
    configured = ((run.config.get("federation") or {}).get("num_clients") or 0 for run in runs)
    return max(counts, default=0) or max(configured, default=0)


def stored_report(store: Store, run_id: int) -> dict[str, Any] | None:
    """The gap of a comparison with its headline and its sentence, see `shared.metrics.gap_record.gap_report`.

    Returns
    -------
    dict or None
        None of another run, and before the gap is measured.
    """
    runs = family(store, run_id)
    clients, tested = number_of_clients(store, runs), when_tested(runs)
    with naming(positive_class(runs)):
        return gap_report(runs[0].summary, num_clients=clients, tested=tested)


def headline_record(run: RunRow) -> dict[str, Any] | None:
    """The headline of a comparison for lists of runs, see `shared.metrics.gap_record.gap_record`; else None."""
    row = stored_headline(run.summary)
    with naming(positive_class([run])):
        return None if row is None else gap_record(row)


def family(store: Store, run_id: int) -> list[RunRow]:
    """A run, and the runs of it if it is a comparison."""
    run = store.runs.get(run_id)
    return [run] if run.training_mode == "sweep" else [run, *members_of(store, run)]


def members_of(store: Store, run: RunRow) -> list[RunRow]:
    """The runs of a comparison, oldest first: its children, or the stored runs that it compares.

    Of a sweep, the runs of its trials.
    """
    own = [] if run.summary.get("of_runs") else store.runs.children(run.id)
    twins = run.summary.get("twins") or {} if run.summary.get("of_runs") else {}
    others = {*twins.get("pooled", ()), *twins.get("federated", ()), *run.summary.get(BORROWED, ())}
    ids = sorted(others - {child.id for child in own})
    found = [one for run_id in ids if (one := store.runs.find(run_id)) is not None]  # one may be deleted
    return sorted([*own, *found], key=lambda one: one.id)
