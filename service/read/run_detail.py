"""One run with all that its page needs to begin, and how its settings differ from another's."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.read import artifacts as files
from service.read import summaries as views
from service.read.members import family
from service.read.run_config import flat, without_secrets
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.store import Store


def run_detail(store: Store, run: RunRow, *, home: Home) -> dict[str, Any]:
    """One run with all that its page needs to begin.

    Returns
    -------
    dict
        See `service.api.schemas.RunDetail`.
    """
    # The values first: rows that come meanwhile are after the cursor, and come again on the stream.
    latest = store.metrics.latest(run.id)
    run = store.runs.find(run.id) or run
    plain = run.as_dict()
    return {
        **views.run_summary(store, run),
        "config": without_secrets(plain["config"]),
        "summary": without_secrets(plain["summary"]),
        "classes": plain["summary"].get("classes"),
        "clients": [views.client(row) for row in store.clients.of_run(run.id)],
        "rounds": [views.round_record(row) for row in store.rounds.of_run(run.id)],
        "evaluations": [views.evaluation(row) for row in store.evaluations.of_run(run.id)],
        "family": family(store, run),
        "latest": [views.metric_row(row) for row in latest],
        "cursor": latest[-1].id if latest else 0,
        "downloads": downloads(run, home=home),
    }


def downloads(run: RunRow, *, home: Home) -> list[dict[str, str]]:
    """The files that can be had of a run.

    Returns
    -------
    list of dict
        See `service.api.schemas.Download`.
    """
    base = f"/api/runs/{run.id}"
    kinds = ("csv", "json", "parquet")
    found = [
        {"kind": kind, "name": export_name(run.id, kind), "url": f"{base}/export?format={kind}"}
        for kind in kinds
    ]
    if files.report(home, run):
        found.append({"kind": "report", "name": "report.html", "url": f"{base}/report"})
    for name in files.figures(home, run):
        url = f"{base}/figures/{quote(name, safe='')}.png"
        found.append({"kind": "figure", "name": f"{name}.png", "url": url})
    return found


def export_name(run_id: int, kind: str) -> str:
    """What the file of an export is called.

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
