"""`TreeForecaster`: trees that forecast each step ahead from lags of the target, a row of a table for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.config.config import Config
from shared.config.model import ForestConfig
from shared.data.dataset import Ints
from shared.data.schema import Schema
from shared.data.series.lags import LagRows, LagWindows, lag_columns
from shared.data.series.load import SeriesData
from shared.metrics.forecasting import Loss
from shared.model.trees import TreeNetwork, features_of
from shared.tasks.forecasting.module import LitForecaster
from shared.tasks.tables.trees import TreeDataModule, TreeModule, growing
from shared.trees.objectives import AbsoluteError, Mean, Objective, SquaredError

UNITS = 2  # numbers behind each row: what the target was scaled by


class LagNetwork(TreeNetwork):
    """Trees of the scaled target, where forecasts in its own unit are expected."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        inputs : Tensor [B, horizon, columns + 2], float64
            As `LagWindows` has them.

        Returns
        -------
        Tensor [B, horizon], float64
        """
        rows, center, scale = inputs[..., :-UNITS], inputs[..., -2], inputs[..., -1]
        return center + scale * super().forward(rows.flatten(0, 1)).reshape(center.shape)


class LagDataModule(TreeDataModule):
    """Windows, and the rows of a table that trees see of them.

    Parameters
    ----------
    lags : LagRows
    **settings
        Of `shared.data.arrays.ArrayDataModule`.
    """

    def __init__(self, data: SeriesData, *, lags: LagRows, **settings: Any) -> None:
        super().__init__(data, **settings)
        self.lags = lags

    @property
    def inputs(self) -> Any:
        """What a stored model takes of each window."""
        return LagWindows(self.lags)

    def tree_inputs(self, stage: str) -> tuple[Any, Ints]:
        """The rows of the windows of a stage, [n * horizon, columns]: they are kept, as each tree is added."""
        rows = self.lags.of_windows(self.rows[stage])
        return self.lags[rows], np.arange(len(rows), dtype=np.int64)

    def tree_targets(self, stage: str) -> npt.NDArray[np.float64]:
        """The scaled target of each step ahead, [n * horizon]."""
        return self.lags.targets(self.lags.of_windows(self.rows[stage]))


class LagWindow:
    """What trees take of a window of a new file.

    Parameters
    ----------
    lags : callable
        Makes `LagRows`, of ``values``, ``calendar``, ``starts`` and ``sites``.

    Attributes
    ----------
    shape : tuple of int
        Steps ahead, and numbers of each.
    sites : tuple of str
        Series that are scaled by their own rows; empty where all are scaled alike.
    """

    dtype = torch.float64

    def __init__(self, lags: Callable[..., LagRows], *, shape: tuple[int, int], sites: tuple[str, ...]) -> None:
        self._lags, self.shape, self.sites = lags, shape, sites

    def __call__(
        self,
        values: npt.NDArray[np.float64],
        calendar: npt.NDArray[np.float32],
        *,
        sites: Ints | None,
    ) -> npt.NDArray[np.float64]:
        """A window of `LagWindows`, of its steps."""
        starts = np.zeros(1, dtype=np.int64)
        lags = self._lags(values=values, calendar=calendar, starts=starts, sites=sites)
        found: npt.NDArray[np.float64] = LagWindows(lags)[starts][0]
        return found


class TreeForecaster(TreeModule, LitForecaster):
    """Trees of one step ahead, which is one of their inputs; judged by windows as networks are."""

    def results_of(self, scores: npt.NDArray[np.float64], datamodule: TreeDataModule, stage: str) -> Tensor:
        """Forecasts in the unit of the target, [n, horizon], of raw scores [1, n * horizon]."""
        assert isinstance(datamodule, LagDataModule)
        center, scale = datamodule.lags.units(datamodule.rows[stage]).T[..., None]
        return torch.from_numpy(center + scale * scores[0].reshape(-1, self.horizon))


def lag_network(
    cfg: Config, schema: Schema, *, window: int, season: int, calendar: int, loss: Loss
) -> LagNetwork:
    """The model of trees that is configured, without a tree.

    Parameters
    ----------
    calendar : int
        Features of the calendar.

    Raises
    ------
    ConfigError
        A category has too many levels, or a setting is out of range.
    """
    columns = lag_columns(schema, window=window, season=season, calendar=calendar)
    return LagNetwork(
        features_of(columns),
        objective=_objective(cfg, loss),
        settings=growing(cfg),
    )


def _objective(cfg: Config, loss: Loss) -> Objective:
    if isinstance(cfg.model, ForestConfig):
        return Mean()  # its leaves are means, whatever loss chooses among its sizes
    return AbsoluteError() if loss == "absolute" else SquaredError()
