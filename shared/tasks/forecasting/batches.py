"""`ForecastInputs`: what a network takes of each window, made as it is taken, and its batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shared.config.table_data import TableDataConfig
from shared.data.arrays import ArrayDataModule
from shared.data.dataset import Ints
from shared.data.schema import Schema
from shared.data.series.load import Cutting, SeriesData, scaled_columns
from shared.data.series.windows import Windows
from shared.data.tables.prepare import Preparation, are_numbers


@dataclass(frozen=True)
class Features:
    """What a network takes of each step.

    Attributes
    ----------
    preparation : Preparation
        Of the target and the inputs.
    calendar : int
        Features of the calendar, which stand behind.
    known : list of int
        Features that are known ahead of time.
    """

    preparation: Preparation
    calendar: int
    known: list[int]

    @classmethod
    def of(
        cls,
        schema: Schema,
        *,
        cfg: TableDataConfig,
        agreed: Mapping[str, Any],
        calendar: int,
        known: tuple[str, ...],
    ) -> Features:
        """Those of a schema.

        Parameters
        ----------
        agreed : mapping
            See `Preparation`.
        known : tuple of str
            Inputs that are known ahead.
        """
        columns = scaled_columns(schema)
        preparation = Preparation(columns, cfg=cfg, agreed=agreed)
        names = [columns[place].name for place in are_numbers(columns)]
        names *= 2 if cfg.missing == "indicator" else 1
        first = 1 if cfg.drop_first_level else 0
        names += [
            column.name
            for column in columns
            if column.kind == "categorical"
            for _ in range(max(len(column.levels) - first, 0))
        ]
        assert len(names) == preparation.width, (names, preparation.width)
        ahead = [place for place, name in enumerate(names) if name in known]
        return cls(preparation, calendar, [*ahead, *range(len(names), len(names) + calendar)])

    @property
    def width(self) -> int:
        """Features of a step."""
        return self.preparation.width + self.calendar

    def of_steps(
        self,
        values: npt.NDArray[np.float64],
        calendar: npt.NDArray[np.float32],
        *,
        sites: Ints | None,
    ) -> npt.NDArray[np.float32]:
        """The features of some steps, and behind them what their series is scaled by, [T, width + 2].

        Parameters
        ----------
        values : ndarray [T, columns], float64
            As `SeriesData` has them.
        calendar : ndarray [T, C], float32
        sites : ndarray [T], int64, or None
            The number of each step's series, if each is scaled by its own.
        """
        own = np.zeros(len(values), dtype=np.int64) if sites is None else sites
        of_target = (self.preparation.centers[own, 0], self.preparation.scales[own, 0])
        center, scale = (part.astype(np.float32) for part in of_target)
        return np.column_stack([self.preparation(values, sites=sites), calendar, center, scale])


@dataclass(frozen=True)
class ForecastInputs:
    """Windows of features [N, window + horizon, width + 2], without what nobody knows ahead of time.

    Attributes
    ----------
    windows : Windows
        Of `Features.of_steps`.
    back : int
        Steps that are looked at.
    hidden : ndarray [width + 2], bool
        Features that are 0 after these.
    """

    windows: Windows
    back: int
    hidden: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: Ints | slice) -> npt.NDArray[np.float32]:
        """Some windows."""
        taken = self.windows[rows]
        taken[:, self.back :, self.hidden] = 0.0
        return taken


def hidden_features(features: Features) -> npt.NDArray[np.bool_]:
    """Which numbers of a step, the scales behind them included, are not known ahead, [width + 2]."""
    hidden = np.ones(features.width + 2, dtype=bool)
    hidden[[*features.known, -2, -1]] = False
    return hidden


class FeatureWindow:
    """What a network takes of a window of a new file.

    Attributes
    ----------
    shape : tuple of int
        Steps, and numbers of each.
    sites : tuple of str
        Series that are scaled by their own rows; empty where all are scaled alike.
    """

    dtype = torch.float32

    def __init__(self, features: Features, cutting: Cutting) -> None:
        self._features, self._back, self._hidden = features, cutting.window, hidden_features(features)
        self.shape = cutting.window + cutting.horizon, len(self._hidden)
        self.sites = features.preparation.sites

    def __call__(
        self,
        values: npt.NDArray[np.float64],
        calendar: npt.NDArray[np.float32],
        *,
        sites: Ints | None,
    ) -> npt.NDArray[np.float32]:
        """See `Features.of_steps`; what is not known ahead is 0."""
        found = self._features.of_steps(values, calendar, sites=sites)
        found[self._back :, self._hidden] = 0.0
        return found


class ForecastDataModule(ArrayDataModule):
    """Batches of windows.

    Parameters
    ----------
    inputs : ForecastInputs
    **settings
        Of `ArrayDataModule`.
    """

    def __init__(self, data: SeriesData, *, inputs: ForecastInputs, **settings: Any) -> None:
        super().__init__(data, **settings)
        self._windows = inputs

    @property
    def inputs(self) -> Any:
        """What a batch of inputs is sliced out of."""
        return self._windows
