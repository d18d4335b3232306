"""`site_gains`: the table of what each site gains against training alone, read from a comparison's runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.config.config import Config
from shared.metrics.gap import GapRow
from shared.metrics.headline import headline
from shared.metrics.judge import Judge
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.series import Unit
from shared.tracking.store import Store
from simulations.gap.site_gains import SiteGain, gain, gains_on_test
from simulations.report.history import read_outputs
from simulations.twins import Twins


def site_gains(
    cfg: Config,
    twins: Twins,
    rows: Sequence[GapRow],
    *,
    judge: Judge,
    groups: NDArray[np.int64] | None,
    store: Store,
    home: Home,
) -> dict[str, Any] | None:
    """What each site gains, in the comparison's headline metric.

    Parameters
    ----------
    groups : ndarray [N], int64, optional
        Test examples that belong together.

    Returns
    -------
    dict or None
        ``metric``, ``better``, ``confidence`` and ``rows``, one of `SiteGain.as_dict` a site; None where no
        site trained alone (``compare.local_only``).
    """
    if not twins.local:
        return None
    row = headline(rows, metric=cfg.compare.metric)
    on_test = gains_on_test(
        judge,
        [[read_outputs(home, run_id) for run_id in ids] for ids in twins.local],
        [read_outputs(home, run_id) for run_id in twins.federated],
        metric=row.metric,
        confidence=cfg.compare.confidence,
        resamples=cfg.compare.resamples,
        seed=cfg.seed,
        groups=groups,
    )
    clients = {client.client_id: client for client in store.clients.of_run(twins.federated[0])}
    found = []
    for client_id, test in enumerate(on_test):
        client = clients.get(client_id)
        alone = _mean([_own_value(store, ids[client_id], row.metric) for ids in twins.local])
        together = _mean(
            [_own_value(store, run_id, row.metric, client_id=client_id) for run_id in twins.federated]
        )
        found.append(
            SiteGain(
                client_id=client_id,
                name=client.name if client else f"client-{client_id}",
                num_examples=client.num_examples if client else 0,
                **test,
                own_alone=alone,
                own_federated=together,
                own_gain=gain(alone, together, better=row.better),
            ).as_dict()
        )
    return {"metric": row.metric, "better": row.better, "confidence": row.confidence, "rows": found}


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
