"""`write_sweep_report`: the report of a sweep as one HTML file without scripts, and its trials as Parquet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from shared.metrics.catalogue import spec_of
from shared.runtime.counts import count_of
from shared.runtime.errors import TrackingError
from shared.runtime.files import replacing
from shared.runtime.home import Home, is_shared
from shared.tracking.rows import MODE_NAMES
from shared.tracking.store import Store
from simulations.report.html import figure_html, table_html
from simulations.report.page import ReportFigure, document
from simulations.report.tables import Cell as Value
from simulations.report.tables import DataTable, Shown
from simulations.sweeps.cells import Cell, cells_of_sweep, text_of
from simulations.sweeps.figures import (
    MOST_CELLS,
    curves_figure,
    front_figure,
    importance_figure,
    levels_figure,
    parallel_figure,
    ranks_figure,
)
from simulations.sweeps.importance import importance_of
from simulations.sweeps.measured import MeasuredTrial, measure_trials, target_of
from simulations.sweeps.ranks import Ranks, rank_cells

REPORT, TRIALS = "report.html", "trials.parquet"
_METHOD = (
    "<p>Intervals: Student's t over the seeds, on the scale on which the metric has no bounds. Ranks: "
    "each seed is a block; Friedman's test asks whether all cells are alike, Nemenyi's critical "
    "difference (5 %) which average ranks can be told apart (Demsar 2006, JMLR 7:1-30; scipy's "
    "friedmanchisquare and studentized_range). Few seeds make it wide. Importance: functional ANOVA "
    "(Hutter et al. 2014), by Optuna, on what the trials reached on validation rows. Settings are chosen "
    "by validation rows: a cell that is chosen by its test rows looks better than it is.</p>"
)


def write_sweep_report(store: Store, sweep_id: int, *, home: Home) -> Path:
    """Write the report, and the trials as Parquet, into the sweep's folder, of what its trials reached by now.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    TrackingError
        There is no such run, it is no sweep, or no trial is complete.
    """
    run = store.runs.get(sweep_id)
    if run.training_mode != "sweep":
        raise TrackingError(f"run {sweep_id} is no sweep; fedtwin compare writes the report of a comparison")
    trials, cells = measure_trials(store, sweep_id), cells_of_sweep(store, sweep_id)
    if not trials:
        raise TrackingError(f"no trial of sweep {sweep_id} is complete, so there is nothing to report")
    folder = home.sweep_dir(sweep_id)
    folder.mkdir(parents=True, exist_ok=True)
    mode = 0o666 if is_shared() else 0o600
    with replacing(folder / TRIALS, mode=mode) as file:
        file.write(_parquet(trials))
    counts = store.trials.counts([sweep_id])[sweep_id]
    html = _render(run.name, sweep_id, str(run.summary["sweep"]["mode"]), counts, trials, cells)
    with replacing(folder / REPORT, mode=mode) as file:
        file.write(html.encode())
    return folder / REPORT


def _render(
    name: str,
    sweep_id: int,
    mode: str,
    counts: dict[str, int],
    trials: Sequence[MeasuredTrial],
    cells: Sequence[Cell],
) -> str:
    names = {cell.settings: " ".join(cell.settings) or "(as they are)" for cell in cells}
    tested = [cell for cell in cells if cell.numbers]
    label = next((cell.label for cell in tested if cell.label), "")
    ranks = _ranks(trials)
    figures = _figures(trials, tested, names, ranks, label=label)
    shown = {
        "cells": ("Cells", _folded(_cells_table(cells, names, trials, ranks))),
        "figures": (
            "Figures",
            "".join(
                figure_html(one.figure, title=one.title, caption=one.caption, table=one.table, number=number)
                for number, one in enumerate(figures, start=1)
            ),
        ),
        "costs": ("Costs", _folded(_cost_table(cells, names, trials))),
        "trials": (
            "Trials",
            f"<details><summary>Table of {count_of(len(trials), 'completed trial')}</summary>"
            f"{table_html(_trials_table(trials))}</details>",
        ),
        "method": ("Methods", _METHOD),
    }
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    facts = {
        "Sweep": f"{sweep_id} ({count_of(sum(counts.values()), 'trial')}: {told})",
        "Trials are": MODE_NAMES.get(mode, mode),
        "Cells": str(len(cells)),
        "Seeds": ", ".join(map(str, sorted({trial.seed for trial in trials}))),
    }
    return document(
        name,
        answer=_answer(trials, tested, names, ranks, label=label),
        facts=facts,
        sections=[(key, heading, body) for key, (heading, body) in shown.items() if body],
        created=datetime.now(UTC),
    )


def _folded(table: DataTable) -> str:
    """A table; a long one starts folded."""
    if len(table.rows) <= MOST_CELLS:
        return table_html(table)
    return f"<details><summary>Table of {len(table.rows)} cells</summary>{table_html(table)}</details>"


def _answer(
    trials: Sequence[MeasuredTrial],
    cells: Sequence[Cell],
    names: dict[tuple[str, ...], str],
    ranks: Ranks | None,
    *,
    label: str,
) -> str:
    best = _best(trials)
    if best is None:
        return "No trial has a value on validation rows."
    key = best.key
    text = f"Best on validation rows: {names[best.settings]} ({key} {best.best:.4g}, trial {best.number})."
    own = next((cell for cell in cells if cell.settings == best.settings), None)
    if own is not None:
        parts = [f"{part} {text_of(own, part)}" for part in own.numbers]
        text += f" Its {label} on the test rows: {', '.join(parts)}."
    if ranks is not None and not math.isnan(ranks.p_value):
        alike = "differ" if ranks.p_value < 0.05 else "cannot be told apart"
        text += f" Over {ranks.blocks} seeds, the cells {alike} (Friedman p = {ranks.p_value:.2g})."
    return text


def _best(trials: Sequence[MeasuredTrial]) -> MeasuredTrial | None:
    known = [trial for trial in trials if math.isfinite(trial.best) and trial.mode and not trial.is_winner]
    if not known:
        return None
    sign = 1 if known[0].mode == "max" else -1
    return max((trial for trial in known if trial.key == known[0].key), key=lambda one: sign * one.best)


def _ranks(trials: Sequence[MeasuredTrial]) -> Ranks | None:
    """By the headline on the test rows; of a search, by the metric on validation rows."""
    tested = [trial for trial in trials if trial.values and not trial.is_winner]
    values: dict[tuple[str, ...], dict[int, float]] = {}
    for trial in tested or trials:
        side = "federated" if "federated" in trial.values else "pooled"
        values.setdefault(trial.settings, {})[trial.seed] = trial.values[side] if tested else trial.best
    mode = spec_of(tested[0].metric).mode if tested and tested[0].metric else trials[0].mode
    return rank_cells(values, higher_is_better=mode != "min")


def _figures(
    trials: Sequence[MeasuredTrial],
    tested: Sequence[Cell],
    names: dict[tuple[str, ...], str],
    ranks: Ranks | None,
    *,
    label: str,
) -> list[ReportFigure]:
    figures = []
    if tested:
        some = _best_cells(tested, trials)
        more = (
            f" The {len(some)} best of {len(tested)} cells on validation rows."
            if len(some) < len(tested)
            else ""
        )
        columns = [
            part for part in ("pooled", "federated", "gap") if any(part in cell.numbers for cell in some)
        ]
        rows: list[list[Value]] = [
            [names[cell.settings], *(text_of(cell, part) or None for part in columns)] for cell in some
        ]
        figures.append(
            ReportFigure(
                "Each cell",
                f"Mean over the seeds with 95 % interval.{more}",
                levels_figure(some, names, label=label),
                DataTable("Cells", ["settings", *columns], rows),
            )
        )
    if ranks is not None:
        listed: list[list[Value]] = [[names[cell], rank] for cell, rank in ranks.average.items()]
        figures.append(
            ReportFigure(
                "Ranks",
                f"Average ranks over {ranks.blocks} seeds; critical difference "
                f"{ranks.critical:.2f} (Nemenyi, 5 %)."
                + (f" The first {MOST_CELLS} of {len(listed)} cells." if len(listed) > MOST_CELLS else ""),
                ranks_figure(ranks, names),
                DataTable("Average ranks", ["settings", "rank"], listed),
            )
        )
    best = _best(trials)
    if best is None or best.mode is None:
        return figures
    higher = best.mode == "max"
    same = [one for one in trials if one.key == best.key and math.isfinite(one.best) and not one.is_winner]
    for cost, values in (
        ("bytes both ways", [one.bytes_sent for one in same]),
        ("seconds", [one.seconds for one in same]),
    ):
        if len(same) > 1 and all(map(math.isfinite, values)) and len(set(values)) > 1:
            rows = [[one.number, one.best, value] for one, value in zip(same, values, strict=True)]
            figures.append(
                ReportFigure(
                    f"{best.key} against {cost}",
                    "Each point is a trial; those on the line are beaten by none in both.",
                    front_figure(same, values, cost=cost, label=best.key, higher=higher),
                    DataTable("Trials", ["trial", best.key, cost], rows),
                )
            )
    settings = [dict(text.lstrip("+~").partition("=")[::2] for text in one.settings) for one in same]
    if len(same) > 1 and any(settings):
        rows = [[one.number, " ".join(one.settings), one.seed, one.best] for one in same]
        table = DataTable("Trials", ["trial", "settings", "seed", best.key], rows)
        figures.append(
            ReportFigure(
                "Parallel coordinates",
                "One line a trial.",
                parallel_figure(same, settings, label=best.key, higher=higher),
                table,
            )
        )
    if found := importance_of(settings, [one.best for one in same]):
        figures.append(
            ReportFigure(
                "Importance of settings",
                f"Of {count_of(len(same), 'trial')}.",
                importance_figure(found, label=best.key),
                DataTable("Importance", ["setting", "share"], [[name, value] for name, value in found.items()]),
            )
        )
    sign = 1 if higher else -1
    ordered = list(
        dict.fromkeys(one.settings for one in sorted(same, key=lambda one: -sign * one.best) if one.curve)
    )
    if ordered:
        chosen = [ordered[0], *([ordered[-1]] if len(ordered) > 1 else [])]
        rows = [
            [one.number, step, value] for one in same if one.settings in chosen for step, value in one.curve
        ]
        figures.append(
            ReportFigure(
                "Learning curves",
                "On validation rows; one line a trial.",
                curves_figure(same, chosen, names, label=best.key),
                DataTable("Curves", ["trial", "round (epoch)", best.key], rows),
            )
        )
    return figures


def _best_cells(cells: Sequence[Cell], trials: Sequence[MeasuredTrial]) -> list[Cell]:
    """At most `MOST_CELLS`: those that reached most on validation rows, in the order of the plan."""
    sign = -1 if any(trial.mode == "max" for trial in trials) else 1
    reached: dict[tuple[str, ...], list[float]] = {}
    for trial in trials:
        reached.setdefault(trial.settings, []).append(sign * trial.best)
    means = {settings: _mean(values) for settings, values in reached.items()}
    value = {settings: math.inf if mean is None else mean for settings, mean in means.items()}
    kept = sorted(range(len(cells)), key=lambda place: value.get(cells[place].settings, math.inf))[:MOST_CELLS]
    return [cells[place] for place in sorted(kept)]


def _cells_table(
    cells: Sequence[Cell],
    names: dict[tuple[str, ...], str],
    trials: Sequence[MeasuredTrial],
    ranks: Ranks | None,
) -> DataTable:
    parts = [part for part in ("pooled", "federated", "gap") if any(part in cell.numbers for cell in cells)]
    sought = list(next((cell.sought for cell in cells if cell.sought), ()))
    rows: list[list[Value]] = []
    for cell in cells:
        own = [one for one in trials if one.settings == cell.settings and one.is_winner == cell.is_winner]
        worst = [one.worst_client for one in own if math.isfinite(one.worst_client)]
        rank = ranks.average.get(cell.settings) if ranks is not None and not cell.is_winner else None
        rows.append(
            [
                ("winner: " if cell.is_winner else "") + names[cell.settings],
                _ended(cell),
                *(cell.sought.get(name) for name in sought),
                *(_shown(cell, part) for part in parts),
                *([sum(worst) / len(worst) if worst else None] if any(map(_has_clients, trials)) else []),
                *([rank] if ranks is not None else []),
            ]
        )
    columns = ["settings", "trials completed", *sought, *parts]
    columns += ["worst client (validation)"] if any(map(_has_clients, trials)) else []
    columns += ["rank"] if ranks is not None else []
    caption = "Mean over the seeds, 95 % CI"
    if sought:
        caption = "What the search sought, on validation rows and in costs; the winner alone was tested"
    return DataTable(
        caption + ("; a positive gap is worse than pooled" if "gap" in parts else ""), columns, rows
    )


def _ended(cell: Cell) -> str:
    others = {"pruned": cell.pruned, "failed": cell.failed}
    return ", ".join(
        [f"{len(cell.seeds)} of {cell.trials}", *(f"{count} {how}" for how, count in others.items() if count)]
    )


def _has_clients(trial: MeasuredTrial) -> bool:
    return math.isfinite(trial.worst_client)


def _shown(cell: Cell, part: str) -> Value:
    if (one := cell.numbers.get(part)) is None:
        return None
    value, _, ends = text_of(cell, part).partition(" ")
    return Shown(one.value, value, ends)


def _cost_table(
    cells: Sequence[Cell], names: dict[tuple[str, ...], str], trials: Sequence[MeasuredTrial]
) -> DataTable:
    target = target_of(trials)
    rows: list[list[Value]] = []
    for settings in dict.fromkeys(cell.settings for cell in cells):
        own = [one for one in trials if one.settings == settings and not one.is_winner]
        if not own:
            continue
        reached = [
            found for one in own if math.isfinite(target) and (found := one.to_target(target)) is not None
        ]
        sent = [both[1] for both in reached if math.isfinite(both[1])]
        rows.append(
            [
                names[settings],
                sum(one.seconds for one in own) / len(own),
                _mean([one.bytes_sent for one in own]),
                f"{len(reached)} of {len(own)}",
                _mean([both[0] for both in reached]),
                _mean(sent),
            ]
        )
    key = trials[0].key
    columns = ["settings", "seconds", "bytes", "trials that reach it", "seconds to it", "bytes to it"]
    known = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    columns, rows = [columns[place] for place in known], [[row[place] for place in known] for row in rows]
    return DataTable(
        f"Means over the seeds, and what it takes to reach {key} = {target:.4g} (the median of the best)",
        columns,
        rows,
    )


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def _trials_table(trials: Sequence[MeasuredTrial]) -> DataTable:
    parts = [part for part in ("pooled", "federated", "gap") if any(part in one.values for one in trials)]
    rows: list[list[Value]] = [
        [
            one.number,
            " ".join(one.settings),
            one.seed,
            f"run {one.run_id}",
            _finite(one.best),
            *(_finite(one.values.get(part)) for part in parts),
            one.seconds,
        ]
        for one in trials
    ]
    return DataTable("Trials", ["trial", "settings", "seed", "run", trials[0].key, *parts, "seconds"], rows)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _parquet(trials: Sequence[MeasuredTrial]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "trial": pa.array([one.number for one in trials], pa.int64()),
        "settings": pa.array([" ".join(one.settings) for one in trials], pa.string()),
        "seed": pa.array([one.seed for one in trials], pa.int64()),
        "run": pa.array([one.run_id for one in trials], pa.int64()),
        "validation_metric": pa.array([one.key for one in trials], pa.string()),
        "validation": pa.array([_finite(one.best) for one in trials], pa.float64()),
        "metric": pa.array([one.metric for one in trials], pa.string()),
        **{
            part: pa.array([_finite(one.values.get(part)) for one in trials], pa.float64())
            for part in ("pooled", "federated", "gap")
        },
        "worst_client": pa.array([_finite(one.worst_client) for one in trials], pa.float64()),
        "seconds": pa.array([one.seconds for one in trials], pa.float64()),
        "bytes": pa.array([_finite(one.bytes_sent) for one in trials], pa.float64()),
        "is_winner": pa.array([one.is_winner for one in trials], pa.bool_()),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())
