"""`load_table`: the configured table becomes `TableData`, its columns read, checked and split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from shared.config.table_data import TableDataConfig
from shared.data.arrays import ArrayData
from shared.data.dataset import SIDES
from shared.data.schema import Column, Schema
from shared.data.sources.columns import find_columns, missing_column
from shared.data.sources.table import Naming, Table, annotate, metadata_error
from shared.data.sources.targets import TargetReader
from shared.data.split.split import absent_strata, make_splits
from shared.data.summary import describe_split
from shared.data.tables.checks import id_columns, input_notes, leaks, repeated_rows
from shared.data.tables.doubts import doubts, unseen_levels
from shared.data.tables.inputs import Input, read_input
from shared.data.tables.reading import NO_TARGET, ReadTable, columns_config, read_table, texts_of
from shared.data.tables.sites import Sites, sites_of
from shared.data.tables.span import in_span
from shared.data.tables.target import bin_names, binned
from shared.runtime.counts import count_of


@dataclass(frozen=True, kw_only=True)
class TableData(ArrayData):
    """Rows of a table.

    Attributes
    ----------
    inputs : ndarray [N, columns], float64
        Numbers, 0 and 1, or numbers of levels, by the schema's inputs; NaN where a value is missing.
    min_count : int
        Fewest values of a column of which a mean is told.
    sites : Sites, optional
        With ``data.scaling=local``.
    """

    min_count: int = 1
    sites: Sites | None = None


def load_table(
    cfg: TableDataConfig,
    *,
    read_targets: TargetReader,
    sides: Sequence[str] = SIDES,
    keep: Sequence[str] = (),
    keeps_gaps: bool = False,
    origin: str | None = None,
) -> TableData:
    """Read a table, check it, and split it where it comes without a split.

    Parameters
    ----------
    read_targets : TargetReader
        Of the task.
    sides : sequence of str
        What the rows are for, see `shared.data.split.split.make_splits`.
    keep : sequence of str
        Further columns that somebody needs as text, such as that of the natural partition; no inputs.
    keeps_gaps : bool
        Whether the model takes inputs that are missing.
    origin : str, optional
        What messages call the table; its path by default.

    Raises
    ------
    DataError
        Names all that is wrong.
    """
    read = read_table(cfg, keep=keep, origin=origin)
    problems: list[str] = []
    notes = [*read.file.notes]
    texts = texts_of(read)
    inputs = _inputs(read, cfg, texts=texts, keep=keep, problems=problems, notes=notes)
    if "test" in sides:  # a site of a deployment need not have what others leave out
        problems += [missing_column(read.file.names, name) for name in cfg.drop if name not in read.file.names]
    if cfg.target is not None and cfg.target not in read.cells:
        raise metadata_error(read.file.origin, problems)
    classes = cfg.classes
    if cfg.target is None:
        texts[NO_TARGET] = [""] * len(read.rows)
    elif cfg.target_bins is not None:
        classes = classes or bin_names(cfg.target_bins)
        texts[cfg.target] = binned(read.cells[cfg.target], cfg.target_bins, classes, problems=problems)
        if set(sides) == set(SIDES) and len(there := {*texts[cfg.target]} - {""}) == 1:
            problems.append(
                f"data.target_bins={[*cfg.target_bins]} leaves one class: all rows are {min(there)!r}"
            )
    rows = [read.row(place) for place in range(len(read.rows))]
    kept = _kept(read, cfg, inputs, problems=problems, notes=notes)
    if len(kept) < len(rows):
        rows = [rows[row] for row in kept]
        inputs = [replace(one, values=one.values[kept]) for one in inputs]
        texts = {name: [values[row] for row in kept] for name, values in texts.items()}
    annotations = annotate(
        Table(texts, tuple(problems), tuple(notes)),
        naming=Naming(
            read.file.origin,
            columns_config(cfg),
            noun="row",
            rows=rows,
            there=tuple(read.file.names),
            decimal=cfg.decimal,
        ),
        classes=classes,
        positive=cfg.positive,
        read_targets=read_targets,
    )
    targets = annotations.targets
    kept_anyway = [*cfg.kinds, *cfg.levels]
    if found := [
        *id_columns(inputs, kept=kept_anyway),
        *(leaks(inputs, targets.values, target=cfg.target, kept=kept_anyway) if cfg.target else ()),
    ]:
        raise metadata_error(read.file.origin, found)
    splits = make_splits(
        len(targets.values),
        strata=targets.strata,
        groups=annotations.groups,
        time=annotations.time,
        given=annotations.given,
        **cfg.split_rule,
        sides=sides,
    )
    values = np.stack([one.values for one in inputs], axis=1)
    sites = None
    if cfg.scaling == "local" and not keeps_gaps:
        wrong: list[str] = []
        own = "test" not in sides  # a table of a deployment's site
        sites = sites_of(annotations.others, train=splits == "train", own=own, problems=wrong)
        if wrong:
            raise metadata_error(read.file.origin, wrong)
    schema = replace(targets.schema, inputs=tuple(one.column for one in inputs))
    given = annotations.given
    drawn = [] if given is None else sorted({*splits.tolist()} - {*given.tolist()})
    return TableData(
        schema=schema,
        targets=targets.values,
        splits=splits,
        strata=targets.strata,
        groups=annotations.groups,
        time=annotations.time,
        columns=annotations.others,
        fingerprint=_fingerprint(schema, values),
        inputs=values,
        min_count=cfg.min_count,
        sites=sites,
        agreed={} if sites is None else sites.agreed(schema.inputs, values, splits == "train"),
        origin=read.file.origin,
        layout=", ".join(
            [
                f"a table of {count_of(len(values), 'row')} and {count_of(len(read.file.names), 'column')}",
                describe_split(given=given is not None, drawn=drawn, by=cfg.split_by, seed=cfg.split_seed),
            ]
        ),
        facts={"inputs": _told(inputs), "target": cfg.target or "none"},
        notes=(
            *annotations.notes,
            *input_notes(
                inputs,
                missing="keep" if keeps_gaps else cfg.missing,
                absent={name: cells.absent for name, cells in read.cells.items()},
            ),
            *doubts(inputs, codes={name: cells.code for name, cells in read.cells.items()}, kinds=cfg.kinds),
            *unseen_levels(inputs, splits),
            *repeated_rows(values, splits),
            *absent_strata(splits, targets.strata),
        ),
    )


def read_inputs(
    cfg: TableDataConfig, columns_of: Sequence[Column], *, path: str
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The inputs of new rows, in the order and by the levels of given columns.

    Returns
    -------
    list of str
        What the rows are called.
    ndarray [N, columns], float64
        As in `TableData`.

    Raises
    ------
    DataError
        A column is missing, or holds what no training row could.
    """
    columns = {column.name: column for column in columns_of}
    levels = {name: column.levels for name, column in columns.items() if column.kind == "categorical"}
    kinds = {name: column.kind for name, column in columns.items() if column.kind != "categorical"}
    own = cfg.model_copy(update={"path": path, "inputs": tuple(columns), "levels": levels, "kinds": kinds})
    read = read_table(own, keep=(), alone=True)
    problems = [missing_column(read.file.names, name) for name in columns if name not in read.cells]
    found: list[Input] = []
    for name in columns:
        if name in read.cells:
            one = read_input(name, read.cells[name], cfg=own, row=read.row, problems=problems, notes=[])
            found += [] if one is None else [one]
    if problems:
        raise metadata_error(read.file.origin, [_of_new_rows(problem) for problem in problems])
    return [read.row(place) for place in range(len(read.rows))], np.stack([one.values for one in found], axis=1)


def _of_new_rows(problem: str) -> str:
    """A problem without advice on settings, which are those of the training."""
    told, _, advice = problem.partition("; ")
    levels = re.sub(r"^data\.levels\.\S+ names", "the model was trained on", advice)
    if levels != advice:
        return f"{told}; {levels}"
    return told if "data." in advice else problem


def _inputs(
    read: ReadTable,
    cfg: TableDataConfig,
    *,
    texts: Mapping[str, Sequence[str]],
    keep: Sequence[str],
    problems: list[str],
    notes: list[str],
) -> list[Input]:
    named = read.cells
    for name in (*(cfg.inputs or ()), *cfg.kinds, *cfg.levels, *cfg.missing_in):
        if name not in named and name not in cfg.drop:
            problems.append(missing_column(named, name))
    if cfg.target is not None and cfg.target not in named:
        problems.append(f"{missing_column(named, cfg.target)} (data.target)")
    # Which columns play a part is found out again, with its notes, where they are read.
    roles = find_columns(texts, columns_config(cfg), notes=[], problems=[])
    parts = {name for name in roles.model_dump().values() if name}
    if clash := sorted({*(cfg.inputs or ())} & parts):
        problems.append(
            f"data.inputs names {', '.join(map(repr, clash))}, which is the target, a split or the like"
        )
    found = []
    for name in cfg.inputs or named:
        if name in named and name not in parts and name != read.file.file_column:
            one = read_input(name, named[name], cfg=cfg, row=read.row, problems=problems, notes=notes)
            found += [] if one is None else [one]
    notes += [
        f"column {one.column.name!r} divides the rows among the clients, and is an input too; "
        f"data.columns.site='{one.column.name}' keeps it out"
        for one in found
        if one.column.name in keep
    ]
    if not found and not problems:
        problems.append("no column is left as an input")
    return found


def _kept(
    read: ReadTable, cfg: TableDataConfig, inputs: Sequence[Input], *, problems: list[str], notes: list[str]
) -> npt.NDArray[np.int64]:
    """The places of the rows that stay: not all, with ``data.start``, ``data.missing`` and the like."""
    target = None if cfg.target is None else read.cells.get(cfg.target)
    inside = in_span(read, cfg, notes=notes)
    lacks = np.zeros(len(read.rows), dtype=bool)
    if target is not None:
        lacks[:] = [target.reading.lacks(text) for text in target.texts]
    lacks &= inside
    whole = inside & ~lacks if cfg.missing_target == "drop" else inside
    if lacks.any() and cfg.missing_target == "error":
        problems.append(
            f"the target {cfg.target!r} is empty in {count_of(int(lacks.sum()), 'row')}, the first is "
            f"{read.row(int(lacks.argmax()))}; data.missing_target=drop leaves such rows out"
        )
    elif lacks.any():
        notes.append(f"left out, for they have no target: {count_of(int(lacks.sum()), 'row')} of {len(lacks)}")
    gaps = np.zeros(len(lacks), dtype=bool)
    for one in inputs:
        missing = np.isnan(one.values) & whole
        gaps |= missing
        if missing.any() and cfg.missing == "error":
            problems.append(
                f"column {one.column.name!r} is empty in {count_of(int(missing.sum()), 'row')}, the first is "
                f"{read.row(int(missing.argmax()))} (data.missing=error)"
            )
    if cfg.missing == "drop" and gaps.any():
        whole &= ~gaps
        notes.append(f"left out, for an input is missing: {count_of(int(gaps.sum()), 'row')} of {len(lacks)}")
    if not whole.any():
        problems.append("no row is left: each lacks the target or, with data.missing=drop, an input")
    if problems and lacks.any():  # which the task would name once more, row by row
        raise metadata_error(read.file.origin, problems)
    return np.flatnonzero(whole)


def _fingerprint(schema: Schema, values: npt.NDArray[np.float64]) -> str:
    content = hashlib.sha256(schema.to_json().encode())
    content.update(np.ascontiguousarray(values).tobytes())
    return content.hexdigest()[:32]


def _told(inputs: Sequence[Input]) -> str:
    kinds: dict[str, list[str]] = {}
    for one in inputs:
        levels = f" ({len(one.column.levels)} levels)" if one.column.kind == "categorical" else ""
        kinds.setdefault(one.column.kind, []).append(one.column.name + levels)
    return "; ".join(
        f"{len(names)} {kind}: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
        for kind, names in kinds.items()
    )
