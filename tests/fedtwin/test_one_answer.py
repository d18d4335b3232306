"""One comparison, looked at through everything that shows its gap: the same metric, numbers and sentence."""

from __future__ import annotations

import html
import io
import json
import re
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import fedtwin
from fedtwin import Comparison
from fedtwin.cli.multirun import _result as multirun_result
from fedtwin.cli.run_page import run_page
from service.app import create_app
from service.settings import Settings
from service.terminal.stored_gap import read_gap
from shared.metrics.gap import GapRow, stored_gap
from shared.metrics.gap_record import gap_record
from shared.metrics.gap_table import gap_table
from shared.metrics.headline import format_gap, stored_headline
from shared.runtime.errors import ConfigError
from shared.tracking.export import export_run
from shared.tracking.show import run_json, runs_json, runs_table
from shared.tracking.store import Store
from simulations.report.terminal import print_comparison
from tests.service.server_kit import serving


@pytest.fixture(scope="module")
def store(comparison: Comparison):
    with Store(comparison.run.home.database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def row(comparison: Comparison) -> GapRow:
    found = stored_headline(comparison.run.row.summary)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def app(comparison: Comparison):
    home = comparison.run.home
    return create_app(Settings(database_url=home.database_url, home=home, port=8765))


def plain(shown: object, *, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_the_headline_is_stored_before_the_gap_is_known(comparison: Comparison, row: GapRow) -> None:
    assert comparison.run.row.summary["metric"] == comparison.metric == row.metric == "auroc"
    assert (row.groups, row.noun, row.seeds) == (comparison.gap["groups"].iloc[0], "row", 1)


def test_every_reader_is_shown_the_same_gap(
    comparison: Comparison, store: Store, row: GapRow, app: object
) -> None:
    run_id, home, gap = comparison.run.id, comparison.run.home, format_gap(row)
    assert re.fullmatch(r"[+-]?[\d.]+ \[[+-]?[\d.]+, [+-]?[\d.]+\]", gap)
    value, _, interval = gap.partition(" ")
    record = json.loads(json.dumps(gap_record(row)))
    line = f"{row.title} ↑ {record['text']['pooled']} {record['text']['federated']}"
    # the terminal: after the comparison, show, watch, the list
    console = Console(file=io.StringIO(), width=200)
    print_comparison(console, run_id, store=store, home=home)
    printed = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    for text in (printed, plain(run_page(store, run_id)), plain(gap_table([row]))):
        assert f"{line} {record['text']['local']} {gap} {record['text']['verdict']}" in text
        assert f"95 % CI, {row.groups} test rows" in text
    assert comparison.sentence in printed
    assert f"gap {row.title} {value}" in plain(runs_table(store.runs.search()))
    # JSON: the list, show, export
    listed = next(one for one in runs_json(store.runs.search()) if one["id"] == run_id)
    shown, exported = (
        run_json(store, run_id)["gap"],
        json.loads(export_run(store, run_id, format="json", path=None))["gap"],
    )
    assert listed["gap"] == record
    assert shown == exported
    assert (shown["metric"], shown["sentence"]) == (row.metric, comparison.sentence)
    assert shown["rows"][0] == record
    others = [one["gap"] for one in runs_json(store.runs.search()) if one["id"] != run_id]
    assert len(others) >= 4
    assert set(others) == {None}  # the twins have none of their own
    # the API, and so the page
    with serving(app) as port:

        def ask(path: str) -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=30) as answer:
                return json.load(answer)

        compared = ask(f"compare?runs={run_id}")
        assert (compared["metric"], compared["final"][0]) == (row.metric, record)
        assert "".join(part["text"] for part in compared["result"]) == comparison.sentence
        (listed,) = (one for one in ask("runs")["runs"] if one["id"] == run_id)
        assert listed["gap"] == record
    # Python
    assert comparison.table.loc[row.metric, ["gap", "interval"]].tolist() == [value, interval]
    assert comparison.gap.loc[row.metric, "gap"] == record["gap"]
    assert f"{value}  {interval}" in re.sub(" {3,}", "  ", str(comparison))
    # the report
    report = html.unescape(re.sub(r"<[^>]+>", " ", comparison.report.read_text(encoding="utf-8")))
    assert comparison.sentence in report
    assert f"{value} {interval}" in " ".join(report.split())


def gaps_below(content: Any) -> list[tuple[str, float, float, float]]:
    """Metric, value and ends of every gap anywhere in JSON, in whichever form it is written."""
    found = []
    if isinstance(content, list):
        found += [gap for one in content for gap in gaps_below(one)]
    elif isinstance(content, dict):
        gap = content.get("gap")
        if "metric" in content and isinstance(gap, dict) and "value" in gap:
            found.append((content["metric"], gap["value"], gap["low"], gap["high"]))
        elif "metric" in content and isinstance(gap, int | float):
            found.append((content["metric"], gap, content["low"], content["high"]))
        found += [gap for one in content.values() for gap in gaps_below(one)]
    return found


def test_no_output_has_a_gap_of_the_other_sign(
    comparison: Comparison, store: Store, app: object, tmp_path: Path
) -> None:
    run_id, gap = comparison.run.id, comparison.gap
    loss = gap.loc["loss"]
    assert loss["better"] == "lower"
    assert loss["gap"] == pytest.approx(loss["federated"] - loss["pooled"]), "positive is worse"
    outputs = [runs_json(store.runs.search()), run_json(store, run_id)]
    outputs.append(json.loads(export_run(store, run_id, format="json", path=None)))
    with serving(app) as port:
        for path in (f"runs/{run_id}", "runs", f"compare?runs={run_id}", f"runs/{run_id}/export?format=json"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=30) as answer:
                outputs.append(json.load(answer))
    for output in outputs:
        found = gaps_below(output)
        assert found
        for metric, *numbers in found:
            assert numbers == pytest.approx(gap.loc[metric, ["gap", "low", "high"]].tolist(), nan_ok=True), (
                metric
            )
    for written in (outputs[1]["run"], outputs[2]["run"], outputs[3]):
        assert {row["metric"] for row in written["summary"]["gap"]} == set(gap.index)
        read = {row.metric: row.cost.value for row in stored_gap(written["summary"])}
        assert read == pytest.approx(gap["gap"].to_dict()), "what JSON holds is read with its sign"
    csv = pd.read_csv(io.StringIO(str(export_run(store, run_id, format="csv", path=None))))
    parquet = pd.read_parquet(export_run(store, run_id, format="parquet", path=tmp_path / "gap.parquet"))
    for table in (csv, parquet):
        found = table.set_index("metric")
        assert list(found.index) == list(gap.index)
        wanted = gap[["pooled", "federated", "gap", "low", "high"]].to_numpy()
        shown = found[["pooled", "federated", "gap", "gap_low", "gap_high"]].to_numpy()
        assert shown == pytest.approx(wanted, nan_ok=True)
        assert found["groups"].tolist() == gap["groups"].tolist()
    row = next(row for row in stored_gap(comparison.run.row.summary) if row.metric == "loss")
    sweep_row = multirun_result(comparison.run.row)
    assert sweep_row[2] == comparison.table.loc[comparison.metric, ["gap", "interval"]].str.cat(sep=" ")
    report = html.unescape(re.sub(r"<[^>]+>", " ", comparison.report.read_text(encoding="utf-8")))
    assert f"{gap_record(row)['text']['gap']} " in report


def test_a_lower_loss_of_the_federated_model_is_better_in_a_sweep(comparison: Comparison) -> None:
    run = replace(comparison.run.row, summary={**comparison.run.row.summary, "metric": "loss"})
    assert multirun_result(run)[2].startswith(comparison.table.loc["loss", "gap"])


def test_both_twins_are_validated_on_the_same_rows(comparison: Comparison) -> None:
    def rows_of(run: fedtwin.Run, step: str) -> set[int]:
        points = run.metrics.query("client_id.isna() and stage == 'val' and name == 'accuracy'")
        assert len(points.dropna(subset=step)) == len(points) > 0
        return set(points["num_examples"])

    (pooled,) = rows_of(comparison.pooled[0], "epoch")
    assert rows_of(comparison.federated[0], "round") == {pooled}


def test_watch_reads_the_gap_of_a_server(comparison: Comparison, row: GapRow, app: object) -> None:
    with serving(app) as port:
        found = read_gap(f"http://127.0.0.1:{port}", comparison.run.id, token=None)
        assert found[0] == row
        assert read_gap(f"http://127.0.0.1:{port}", 999, token=None) == []
    assert read_gap("http://127.0.0.1:1", comparison.run.id, token=None) == []


def test_a_metric_that_the_task_does_not_have_is_refused_before_training(
    settings: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"one of auroc, .*, got 'acuracy'; did you mean accuracy"):
        fedtwin.compare([*settings, "compare.metric=acuracy"], store=tmp_path / "x")
    runs = fedtwin.runs(store=tmp_path / "x")
    assert len(runs) == 0, "no failed run is left behind"
