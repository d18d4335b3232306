"""`site_gains`: the table of what joining brings each site, read from a comparison's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.config.config import Config
from shared.data.dataset import Dataset
from shared.data.partition.partition import client_names, client_test_rows
from shared.metrics.gap import GapRow
from shared.metrics.headline import headline
from shared.metrics.outputs import Outputs
from shared.runtime.counts import count_of
from shared.runtime.home import Home
from shared.tasks.base import TaskSpec
from shared.tracking.rows import RunRow
from shared.tracking.series import Unit
from shared.tracking.store import Store
from simulations.gap.site_gains import (
    FEWEST_GROUPS,
    SiteGain,
    gain,
    known,
    measure_models,
    site_values,
)
from simulations.gap.student import Measured
from simulations.report.history import read_outputs
from simulations.twins import Twins

ALL = "all"  # the column of all test rows together


def site_gains(
    cfg: Config,
    twins: Twins,
    rows: Sequence[GapRow],
    *,
    spec: TaskSpec,
    data: Dataset,
    store: Store,
    home: Home,
) -> dict[str, Any] | None:
    """What joining brings each site, in the comparison's headline metric.

    Returns
    -------
    dict or None
        ``metric``, ``better``, ``confidence``; ``tests``: ``own`` where each site is measured on its own test
        rows, ``common`` where all sites have the same; ``rows``, one of `SiteGain.as_dict` a site; ``cross``,
        see `_cross`. None where no site trained alone (``compare.local_only``).
    """
    if not twins.local:
        return None
    row = headline(rows, metric=cfg.compare.metric)
    models = _models(twins, home)
    names = client_names(data, cfg=cfg.shares, num_partitions=len(models))
    own = client_test_rows(data, cfg=cfg.shares, num_partitions=len(models))
    every = np.arange(len(data.indices("test")), dtype=np.int64)
    groups, span, _ = dependence_of_test(data)

    def measured(of_site: Mapping[str, Sequence[Outputs]], test: NDArray[np.int64]) -> dict[str, Measured]:
        return measure_models(
            spec,
            {name: [one.of_rows(test) for one in outputs] for name, outputs in of_site.items()},
            metric=row.metric,
            resamples=cfg.compare.resamples,
            seed=cfg.seed,
            groups=None if groups is None else groups[test],
            span=span,
        )

    twice = ("pooled", "federated")  # which are the same for all sites
    common = measured({name: models[0][name] for name in twice}, every) if own is None else {}
    clients = {client.client_id: client for client in store.clients.of_run(twins.federated[0])}
    metric = next(one for one in spec.metrics if one.name == row.metric)
    found, notes = [], []
    for client_id, of_site in enumerate(models):
        test = every if own is None else own[client_id]
        note = why_not(row.metric, test, spec=spec, data=data)
        notes.append(note)
        values: dict[str, Any] = {}
        if note is None:
            rest = {name: outputs for name, outputs in of_site.items() if name not in common}
            values = site_values(
                {**common, **measured(rest, test)}, spec=metric, confidence=cfg.compare.confidence
            )
        client = clients.get(client_id)
        alone = _mean([_own_value(store, ids[client_id], row.metric) for ids in twins.local])
        together = _mean(
            [_own_value(store, run_id, row.metric, client_id=client_id) for run_id in twins.federated]
        )
        site = SiteGain(
            client_id=client_id,
            name=client.name if client else names[client_id],
            num_examples=client.num_examples if client else 0,
            **values,
            own_alone=alone,
            own_federated=together,
            own_gain=gain(alone, together, better=row.better),
            num_test=len(test),
            note=note,
        )
        found.append(site.as_dict())
    return {
        "metric": row.metric,
        "better": row.better,
        "confidence": row.confidence,
        "tests": "common" if own is None else "own",
        "rows": found,
        "cross": None
        if own is None
        else _cross(models, [*own, every], [*notes, None], spec=spec, metric=row.metric, names=names),
    }


class Dependence(NamedTuple):
    """Which test rows depend on each other, as `simulations.gap.jackknife.compare_gap` takes it.

    Attributes
    ----------
    groups : ndarray [N], int64, or None
        The group of each test row, such as its patient, or its unit of time; None: each is on its own.
    span : int
        Units of time of a block.
    noun : str
    """

    groups: NDArray[np.int64] | None
    span: int
    noun: str


def dependence_of_test(data: Dataset) -> Dependence:
    """The groups of the test rows of some data, else its blocks of time, else nothing."""
    test = data.indices("test")
    if data.groups is not None:
        return Dependence(data.groups.numbers[test], 1, data.groups.noun)
    if data.blocks is not None:
        return Dependence(data.blocks.numbers[test], data.blocks.span, data.blocks.noun)
    return Dependence(None, 1, "row")


def why_not(metric: str, test: NDArray[np.int64], *, spec: TaskSpec, data: Dataset) -> str | None:
    """Why a site's own test rows give no value of a metric; None where they do.

    Parameters
    ----------
    test : ndarray [n], int64
        Places among the test rows.
    """
    rows = data.indices("test")[test]
    groups, span, noun = dependence_of_test(data)
    count = len(rows) if groups is None else len(np.unique(groups[test])) // span
    if count < FEWEST_GROUPS:
        return f"{count_of(count, f'test {noun}')}: too few, expected {FEWEST_GROUPS} or more"
    strata = data.strata
    if strata is not None and strata.on_every_side and len(np.unique(strata.numbers[rows])) == 1:
        return f"all {len(rows):,} test rows are of one {strata.noun}: {strata.names[strata.numbers[rows[0]]]}"
    return spec.undefined(metric, spec.profile(data, rows), stage="test")


def _models(twins: Twins, home: Home) -> list[dict[str, list[Outputs]]]:
    """The test outputs of each site's models, by seed."""
    pooled, federated = ([read_outputs(home, one) for one in ids] for ids in (twins.pooled, twins.federated))

    def of_site(client_id: int, runs: Sequence[Sequence[int]]) -> list[Outputs]:
        return [read_outputs(home, ids[client_id]) for ids in runs]

    return [
        {
            "pooled": pooled,
            "federated": federated,
            "alone": of_site(client_id, twins.local),
            **({"fine_tuned": of_site(client_id, twins.fine_tuned)} if twins.fine_tuned else {}),
        }
        for client_id in range(len(twins.local[0]))
    ]


def _cross(
    models: Sequence[Mapping[str, Sequence[Outputs]]],
    tests: Sequence[NDArray[np.int64]],
    notes: Sequence[str | None],
    *,
    spec: TaskSpec,
    metric: str,
    names: Sequence[str],
) -> dict[str, Any]:
    """Each site's own model on each site's test rows.

    Returns
    -------
    dict
        ``models`` and ``tests``, by name; ``values``, a row a model, with None where there is none.
    """
    first = models[0]
    whole = {
        "pooled": first["pooled"],
        "federated": first["federated"],
        **{f"{name} alone": own["alone"] for name, own in zip(names, models, strict=True)},
    }

    def value(outputs: Sequence[Outputs], test: NDArray[np.int64]) -> float | None:
        return known(fmean(float(spec.score(one.of_rows(test))[metric][0]) for one in outputs))

    return {
        "models": list(whole),
        "tests": [*names, ALL],
        "values": [
            [None if note else value(outputs, test) for test, note in zip(tests, notes, strict=True)]
            for outputs in whole.values()
        ],
    }


def _own_value(store: Store, run_id: int, metric: str, *, client_id: int | None = None) -> float | None:
    """A validation value of the tested model: of a local run, or of one client of a federated one."""
    run = store.runs.get(run_id)
    step = _tested_step(run)
    if step is None:
        return None
    unit: Unit = "round" if run.training_mode == "federated" else "epoch"
    value = store.series.value_at(run_id, unit=unit, step=step, stage="val", name=metric, client_id=client_id)
    return value if value is not None and np.isfinite(value) else None


def _tested_step(run: RunRow) -> int | None:
    step: int | None = run.summary.get("test_round", run.summary.get("test_epoch"))
    return step


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean over the seeds; None unless every seed has a value: else the two sides were not comparable."""
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if len(numbers) == len(values) else None
