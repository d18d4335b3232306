"""Details of a run: everything that its page needs at first, and settings that differ from another run."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.read import summaries
from service.read.artifacts import figure_paths, report_path
from service.read.members import comparison_members
from service.read.run_config import flat
from service.read.run_files import kept_files
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import RunRow
from shared.tracking.store import Store


def run_detail(store: Store, run: RunRow, *, home: Home) -> dict[str, Any]:
    """Everything that the page of a run needs at first.

    Returns
    -------
    dict
        See `service.read.schemas.RunDetail`.
    """
    # Values first: rows stored meanwhile are after the cursor, and the stream sends them.
    latest = store.metrics.latest(run.id)
    run = store.runs.find(run.id) or run
    plain = run.as_dict()
    return {
        **summaries.run_summary(store, run),
        "config": without_secrets(plain["config"]),
        "summary": without_secrets(plain["summary"]),
        "classes": plain["summary"].get("classes"),
        "clients": [summaries.client(row) for row in store.clients.of_run(run.id)],
        "rounds": [summaries.round_record(row) for row in store.rounds.of_run(run.id)],
        "evaluations": [summaries.evaluation(row) for row in store.evaluations.of_run(run.id)],
        "family": comparison_members(store, run),
        "trials": [summaries.trial(row) for row in store.trials.of_sweep(run.id)],
        "latest": [summaries.metric_row(row) for row in latest],
        "cursor": latest[-1].id if latest else 0,
        "downloads": downloads(run, home=home),
        "kept": kept_files(home, run),
    }


def downloads(run: RunRow, *, home: Home) -> list[dict[str, str]]:
    """The files of a run that can be downloaded.

    Returns
    -------
    list of dict
        See `service.read.schemas.Download`.
    """
    base = f"/api/runs/{run.id}"
    no_table = run.training_mode == "compare" and not run.summary.get("gap")
    kinds = ("json",) if no_table else ("csv", "json", "parquet")
    found = [
        {"kind": kind, "name": export_name(run.id, kind), "url": f"{base}/export?format={kind}"}
        for kind in kinds
    ]
    if report_path(home, run):
        found.append({"kind": "report", "name": "report.html", "url": f"{base}/report"})
    for name in figure_paths(home, run):
        url = f"{base}/figures/{quote(name, safe='')}.png"
        found.append({"kind": "figure", "name": f"{name}.png", "url": url})
    return found


def export_name(run_id: int, kind: str) -> str:
    """File name of an export.

    Parameters
    ----------
    kind : {"csv", "json", "parquet"}
    """
    return f"fedtwin-run-{run_id}.{kind}"


def difference(left: RunRow, right: RunRow) -> dict[str, Any]:
    """The settings in which two runs differ.

    Returns
    -------
    dict
        See `service.api.chart_schemas.Difference`.
    """
    one, other = (dict(flat(without_secrets(run.as_dict()["config"]))) for run in (left, right))
    rows = [
        {"key": key, "left": one.get(key), "right": other.get(key)}
        for key in {**one, **other}
        if one.get(key) != other.get(key)
    ]
    return {"left": left.id, "right": right.id, "rows": rows}
