"""Builds the report of a comparison from the store and the predictions, and writes it with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shared.config.config import Config
from shared.data.dataset import Dataset
from shared.data.profile import CountTable, Profile, SpanTable, count_tables, span_tables
from shared.data.summary import DataSummary
from shared.metrics.catalogue import label, naming
from shared.metrics.gap import GapRow
from shared.metrics.headline import headline
from shared.metrics.outputs import UnreadableOutputs
from shared.metrics.per_class import per_class
from shared.metrics.site_table import note_of, site_sentence, where_tested
from shared.metrics.spec import Better
from shared.runtime.home import Home
from shared.tasks.base import TaskSpec
from shared.tasks.reading import read_data
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from shared.tracking.twins import family, number_of_clients, warnings_of, when_tested
from simulations.report.client_figures import client_bars, value_distribution, value_spans
from simulations.report.comparison_figures import gap_figure, learning_curves, save
from simulations.report.history import client_values, cost, history, read_outputs
from simulations.report.page import CostRow, Report, ReportFigure, write_report
from simulations.report.panels import panel_figures
from simulations.report.site_figure import site_figure
from simulations.report.site_tables import cross_data, gain_table
from simulations.report.tables import (
    DataTable,
    class_table,
    client_table,
    curve_table,
    gap_data,
    span_table,
    twin_table,
    value_table,
)
from simulations.twins import Twins

VALUES = "labels"  # the name of the figures of what the clients train on


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes
    ----------
    command : str
        Command line.
    site_gains : mapping, optional
        See `simulations.report.site_gains`.
    """

    run_id: int
    cfg: Config
    twins: Twins
    rows: Sequence[GapRow]
    command: str
    site_gains: Mapping[str, Any] | None = None


def write_results(done: Comparison, *, store: Store, home: Home, folder: Path) -> Path:
    """Write the figures as PNG and the report as HTML.

    Parameters
    ----------
    folder : Path
        Created if missing.

    Returns
    -------
    Path
        The report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learner = learner_of(done.cfg)
    data, read = read_data(learner, cache=home.cache, tell=False)
    spec = learner.spec(data.schema)
    with naming(read.positive):
        return _write(done, data=data, read=read, spec=spec, store=store, home=home, folder=folder)


def _write(
    done: Comparison,
    *,
    data: Dataset,
    read: DataSummary,
    spec: TaskSpec,
    store: Store,
    home: Home,
    folder: Path,
) -> Path:
    figures = draw(done, spec=spec, store=store, home=home)
    for name, figure in figures.items():
        save(figure.figure, folder / f"{name}.png")
    twins = done.twins
    runs = {"comparison": [done.run_id], "pooled": twins.pooled, "federated": twins.federated}
    if twins.local:
        runs["local"] = [run_id for ids in twins.local for run_id in ids]
    if twins.fine_tuned:
        runs["fine-tuned"] = [run_id for ids in twins.fine_tuned for run_id in ids]
    pooled, federated = (store.runs.get(runs[0]) for runs in (twins.pooled, twins.federated))
    pooled_cost, federated_cost = (cost(store, run.id) for run in (pooled, federated))
    report = Report(
        title=done.cfg.name,
        created=datetime.now(UTC),
        rows=done.rows,
        metrics=spec.metrics,
        num_clients=number_of_clients(store, family(store, done.run_id)),
        num_test=len(data.indices("test")),
        seeds=twins.seeds,
        runs=runs,
        costs=cost_rows(twins, store=store),
        clients={
            name: values
            for name in spec.names
            if (values := client_values(store, twins.federated[0], metric=name))
        },
        values=[figure.table for name, figure in figures.items() if name.startswith(VALUES)],
        figures=list(figures.values()),
        config=pooled.config,
        twins=twin_table(pooled, federated, examples=(pooled_cost.examples, federated_cost.examples)),
        command=done.command,
        metric=headline(done.rows, metric=done.cfg.compare.metric).metric,
        tested=when_tested(family(store, done.run_id)),
        warnings=warnings_of(family(store, done.run_id)),
        gains=gain_table(done.site_gains) if done.site_gains else None,
        gains_text=f"{site_sentence(done.site_gains)} {where_tested(done.site_gains)}"
        if done.site_gains
        else "",
        gains_note=note_of(done.site_gains) if done.site_gains else "",
        cross=cross_data(done.site_gains) if done.site_gains else None,
        data=read,
        classes=_class_table(done, classes=data.schema.classes, home=home),
    )
    return write_report(folder / "report.html", report)


def _class_table(done: Comparison, *, classes: Sequence[str], home: Home) -> DataTable | None:
    """Each class by itself; None where rows are not of one class each, or a probability is not finite."""
    if not classes:
        return None
    outputs = {
        "pooled": read_outputs(home, done.twins.pooled[0]),
        "federated": read_outputs(home, done.twins.federated[0]),
    }
    try:
        scores = {title: per_class(own.of_classes()) for title, own in outputs.items() if own.is_finite}
    except UnreadableOutputs:
        return None
    if len(scores) < len(outputs) or any(len(own) != len(classes) for own in scores.values()):
        return None
    return class_table(scores, classes=classes, seed=done.twins.seeds[0])


def cost_rows(twins: Twins, *, store: Store) -> list[CostRow]:
    """Cost of each kind of twin, as means over the seeds."""
    rows = []
    for mode, runs in (("pooled", twins.pooled), ("federated", twins.federated)):
        costs = [cost(store, run_id) for run_id in runs]
        sent = mode == "federated"
        rows.append(
            CostRow(
                mode=mode,
                seconds=float(np.mean([item.seconds for item in costs])),
                examples=round(np.mean([item.examples for item in costs])),
                bytes_down=round(np.mean([item.bytes_down for item in costs])) if sent else None,
                bytes_up=round(np.mean([item.bytes_up for item in costs])) if sent else None,
            )
        )
    return rows


def draw(done: Comparison, *, spec: TaskSpec, store: Store, home: Home) -> dict[str, ReportFigure]:
    """All figures of a comparison.

    Returns
    -------
    dict of str to ReportFigure
        By the name of their file.
    """
    twins = done.twins
    direction = next(own.better for own in spec.metrics if own.name == spec.client_metric)
    chosen = headline(done.rows, metric=done.cfg.compare.metric)
    shown = dict.fromkeys(("loss", spec.client_metric, chosen.metric))
    return {
        "gap": ReportFigure(
            title="The federated gap",
            caption="What federation costs on the same test set, with confidence interval.",
            figure=gap_figure(done.rows),
            table=gap_data(done.rows),
        ),
        **_sites(done),
        **{f"curve_{metric}": _curve(twins, store, metric=metric) for metric in shown},
        "clients": _clients(twins, store, metric=spec.client_metric, direction=direction),
        **_values(twins, store),
        **_panels(done, home, spec=spec),
    }


def _sites(done: Comparison) -> dict[str, ReportFigure]:
    if not done.site_gains:
        return {}
    figure = ReportFigure(
        title="The models of each site",
        caption=f"{where_tested(done.site_gains)} Gain: federated against alone.",
        figure=site_figure(done.site_gains),
        table=gain_table(done.site_gains),
    )
    return {"sites": figure}


def _curve(twins: Twins, store: Store, *, metric: str) -> ReportFigure:
    pooled = [history(store, run_id, stage="val", metric=metric) for run_id in twins.pooled]
    federated = [history(store, run_id, stage="val", metric=metric) for run_id in twins.federated]
    return ReportFigure(
        title=f"Validation {label(metric)}",
        caption="Pooled: after each epoch. Federated: the global model after each round, on the "
        "validation rows of all clients.",
        figure=learning_curves(pooled, federated, metric=metric),
        table=curve_table(pooled, federated, metric=metric),
    )


def _clients(twins: Twins, store: Store, *, metric: str, direction: Better | None) -> ReportFigure:
    values = client_values(store, twins.federated[0], metric=metric)
    means = {
        mode: history(store, runs[0], stage="val", metric=metric)
        for mode, runs in (("federated", twins.federated), ("pooled", twins.pooled))
    }
    last = {mode: points[-1][1] if points else None for mode, points in means.items()}
    return ReportFigure(
        title=f"Validation {label(metric)} per client",
        caption=f"Last global model on each client's validation rows, seed {twins.seeds[0]}.",
        figure=client_bars(metric, values, last["federated"], last["pooled"], direction=direction),
        table=client_table(metric, values),
    )


def _values(twins: Twins, store: Store) -> dict[str, ReportFigure]:
    clients = store.clients.of_run(twins.federated[0])
    profiles = [Profile.from_dict(client.profile) for client in clients]
    names, sizes = [client.name for client in clients], [client.num_examples for client in clients]
    counts = count_tables(profiles, clients=names, sizes=sizes)
    spans = span_tables(profiles, clients=names, sizes=sizes)
    seed = twins.seeds[0]
    drawn = [*(_counts(table, seed=seed) for table in counts), *(_spans(table, seed=seed) for table in spans)]
    return {f"{VALUES}{number or ''}": figure for number, figure in enumerate(drawn)}


def _counts(table: CountTable, *, seed: int) -> ReportFigure:
    return ReportFigure(
        title=f"Training examples per client and {table.variable}",
        caption=f"Training examples per {table.variable}, seed {seed}.",
        figure=value_distribution(table),
        table=value_table(table),
    )


def _spans(table: SpanTable, *, seed: int) -> ReportFigure:
    return ReportFigure(
        title=f"Training examples per client, and their {table.variable}",
        caption=f"From the smallest to the largest {table.variable}, seed {seed}.",
        figure=value_spans(table),
        table=span_table(table),
    )


def _panels(done: Comparison, home: Home, *, spec: TaskSpec) -> dict[str, ReportFigure]:
    twins = done.twins
    outputs = {
        "pooled": read_outputs(home, twins.pooled[0]),
        "federated": read_outputs(home, twins.federated[0]),
    }
    panels = {title: spec.panels(own) for title, own in outputs.items()}
    return panel_figures(panels, outputs, seed=twins.seeds[0])
