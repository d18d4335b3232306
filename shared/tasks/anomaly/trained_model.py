"""`SiteLimitsModel`: a model of normal rows that judges each row by the control limit of its site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from shared.config.table_data import TableDataConfig
from shared.data.schema import Column, Schema
from shared.data.series.trailing import NewWindows
from shared.data.tables.prepare import Preparation
from shared.tasks.anomaly.module import LimitedModule
from shared.tasks.tables.trained_model import TableModel
from shared.tasks.trained_model import Tell

LIMITS = "limits"  # what is kept of a run beside its weights: the limits of each site


class SiteLimitsModel(TableModel):
    """Rows [B, columns] in, behind their inputs the number of their site; ratio and score out.

    Parameters
    ----------
    limits : mapping
        ``column``: that names the sites; ``sites``: the limits of each, by name.
    """

    def __init__(
        self,
        module: LimitedModule,
        *,
        cfg: TableDataConfig,
        schema: Schema,
        preparation: Preparation,
        tell: Tell,
        threshold: float,
        limits: Mapping[str, Any],
        windows: NewWindows | None,
    ) -> None:
        names = preparation.sites or tuple(sorted(limits["sites"]))
        super().__init__(
            module,
            cfg=cfg,
            schema=schema,
            preparation=preparation,
            tell=tell,
            threshold=threshold,
            site=Column(limits["column"], "categorical", names),
            windows=windows,
        )
        self._judged = module.judged
        self._limits = np.array([limits["sites"][name] for name in names], dtype=np.float64)

    def forward(self, rows: Tensor) -> Tensor:
        """Ratio to the limits of each row's site, and score, [B, 2]."""
        results: Tensor = self.network(self.prepare(rows))
        sites = rows.flatten(1)[:, -1].detach().cpu().numpy().astype(np.int64)
        return self._judged(results.float(), self._limits[sites])

    def _site_note(self) -> str:
        assert self._site is not None
        return (
            f"\nThis model judges each row by the control limit of its site (task.limits=site), so a row needs "
            f"{self._site.name!r}, one of {', '.join(self._site.levels)}; rows of another site need a model "
            "that was trained with task.limits=common"
        )
