"""`Preparation`: from the inputs of a table to the numbers that a network takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.table_data import TableDataConfig
from shared.data.profile import Moments
from shared.data.schema import Column

INPUTS = "inputs"  # what is agreed on: centers and scales of the inputs that are numbers
SITES = "sites"  # of each site by itself, with ``data.scaling=local``
_CENTERS, _SCALES = "centers", "scales"
_MOST_DIGITS = 300  # that `round` can leave


def are_numbers(columns: Sequence[Column]) -> list[int]:
    """Places of the inputs that are numbers, or 0 and 1."""
    return [place for place, column in enumerate(columns) if column.kind != "categorical"]


def agreed_inputs(columns: Sequence[Column], moments: Mapping[str, Moments]) -> dict[str, Any]:
    """What every client must know of all training rows together, in JSON's types.

    Parameters
    ----------
    columns : sequence of Column
        The inputs.
    moments : mapping of str to Moments
        Of all training rows, by column; a column without any stays as it is.
    """
    own = [moments.get(columns[place].name) for place in are_numbers(columns)]
    scales = [1.0 if one is None else one.deviation or 1.0 for one in own]
    centers = [0.0 if one is None else one.mean for one in own]
    return {
        INPUTS: {
            _CENTERS: [_rounded(center, scale) for center, scale in zip(centers, scales, strict=True)],
            _SCALES: [_rounded(scale, scale) for scale in scales],
        }
    }


def _rounded(value: float, scale: float) -> float:
    """A value to seven digits of a scale: in whichever parts rows were added up, both twins get the same."""
    digits = 7 - math.floor(math.log10(scale))
    return round(value, digits) if abs(digits) < _MOST_DIGITS else value


def prepared_names(columns: Sequence[Column], *, indicates: bool) -> list[str]:
    """What each number that comes out of a row is called, where no level is left out.

    Parameters
    ----------
    indicates : bool
        Whether further inputs say where a number is missing.
    """
    numbers = [columns[place].name for place in are_numbers(columns)]
    missing = [f"{name} is missing" for name in numbers] if indicates else []
    levels = [f"{column.name} = {level}" for column in columns for level in column.levels]
    return [*numbers, *missing, *levels]


class Preparation:
    """Scales numbers, fills gaps, and gives each level of a category an input of its own.

    Parameters
    ----------
    columns : sequence of Column
        The inputs of the schema.
    agreed : mapping
        Holds `agreed_inputs`; without it numbers stay as they are. With ``data.scaling=local`` also
        `shared.data.tables.sites.Sites.agreed`.
    dtype : dtype
        Of the numbers that come out.

    Attributes
    ----------
    width : int
        Numbers that come out of a row; it depends on the schema and the settings alone.
    numbers : list of int
        Places of the inputs that are numbers, or 0 and 1.
    means, centers, scales : ndarray [1 or sites, numbers], float64
        What fills a gap; what is taken off a number; what it is divided by.
    categories : list of (int, int)
        Places of the categories, and how many levels each has.
    first_level : int
        The first level that has an input of its own.
    indicates : bool
        Whether further inputs say where a number is missing.
    sites : tuple of str
        By the numbers that rows are told apart with; empty unless each is scaled by its own.
    site_column : str
        That names them.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        cfg: TableDataConfig,
        agreed: Mapping[str, Any],
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._dtype = dtype
        self.numbers = are_numbers(columns)
        self.indicates = cfg.missing == "indicator"
        given = agreed.get(INPUTS) or agreed_inputs(columns, {})[INPUTS]
        of_sites = agreed.get(SITES) or {"column": "", "scales": {}}
        self.site_column: str = of_sites["column"] if cfg.scaling == "local" else ""
        self.sites = tuple(of_sites["scales"]) if cfg.scaling == "local" else ()
        each = [of_sites["scales"][name] for name in self.sites] or [given]
        # [1 or sites, numbers]
        self.means = np.array([one[_CENTERS] for one in each], dtype=np.float64)
        self.scales = np.array([one[_SCALES] for one in each], dtype=np.float64)
        self.centers = self.means
        if cfg.scaling == "none":
            self.centers, self.scales = np.zeros_like(self.means), np.ones_like(self.means)
        assert self.means.shape == self.scales.shape == (len(each), len(self.numbers)), (given, columns)
        self.categories = [
            (place, len(column.levels)) for place, column in enumerate(columns) if column.kind == "categorical"
        ]
        self.first_level = 1 if cfg.drop_first_level else 0
        width = len(self.numbers) * (2 if self.indicates else 1)
        self.width = width + sum(max(count - self.first_level, 0) for _, count in self.categories)

    def __call__(
        self, inputs: npt.NDArray[np.float64], *, sites: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[Any]:
        """Prepare some rows.

        Parameters
        ----------
        inputs : ndarray [n, columns], float64
            As `shared.data.tables.load.TableData` has them.
        sites : ndarray [n], int64, optional
            The number of each row's site, if each is scaled by its own.

        Returns
        -------
        ndarray [n, width], of the type that was asked for
        """
        found = np.zeros((len(inputs), self.width), dtype=self._dtype)
        numbers = inputs[:, self.numbers]
        gaps = np.isnan(numbers)
        assert (sites is None) == (not self.sites), self.sites
        own = np.zeros(len(inputs), dtype=np.int64) if sites is None else sites
        numbers = (np.where(gaps, self.means[own], numbers) - self.centers[own]) / self.scales[own]
        end = len(self.numbers)
        found[:, :end] = numbers
        if self.indicates:
            found[:, end : 2 * end] = gaps
            end *= 2
        for place, count in self.categories:
            codes = inputs[:, place]
            rows = np.flatnonzero(codes >= self.first_level)  # false for NaN
            found[rows, end + codes[rows].astype(np.int64) - self.first_level] = 1.0
            end += max(count - self.first_level, 0)
        return found


class PreparedRows:
    """Rows of a table that are prepared as they are taken, in place of an array [N, width].

    Parameters
    ----------
    inputs : ndarray [N, columns], float64
    sites : ndarray [N], int64, optional
        See `Preparation`.
    """

    def __init__(
        self,
        inputs: npt.NDArray[np.float64],
        preparation: Preparation,
        *,
        sites: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._inputs, self._preparation, self._sites = inputs, preparation, sites

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, rows: npt.NDArray[np.int64] | slice) -> npt.NDArray[Any]:
        sites = None if self._sites is None else self._sites[rows]
        return self._preparation(self._inputs[rows], sites=sites)
