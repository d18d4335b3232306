"""`Sites`: the site of each row of a table, with what its own training rows scale it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.profile import Moments
from shared.data.schema import Column
from shared.data.sources.spelling import is_missing
from shared.data.tables.prepare import INPUTS, SITES, agreed_inputs, are_numbers
from shared.runtime.counts import count_of

WHOLE = ""  # the site of a table that is one site's own


@dataclass(frozen=True)
class Sites:
    """The sites of a table's rows.

    Attributes
    ----------
    column : str
        That names them; empty of a table that is one site's own.
    names : tuple of str
        By number.
    numbers : ndarray [N], int64
        Of each row.
    """

    column: str
    names: tuple[str, ...]
    numbers: npt.NDArray[np.int64]

    def agreed(
        self, columns: Sequence[Column], inputs: npt.NDArray[np.float64], train: npt.NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Mean and deviation of each numeric input over the training rows of each site, in JSON's types.

        Parameters
        ----------
        inputs : ndarray [N, columns], float64
        train : ndarray [N], bool
            The training rows.

        Returns
        -------
        dict
            What `shared.data.tables.prepare.Preparation` takes.
        """
        found = {}
        for number, name in enumerate(self.names):
            own = inputs[train & (self.numbers == number)]
            moments = {}
            for place in are_numbers(columns):
                there = own[~np.isnan(own[:, place]), place]
                if len(there):
                    moments[columns[place].name] = Moments.of(there)
            found[name] = agreed_inputs(columns, moments)[INPUTS]
        return {SITES: {"column": self.column, "scales": found}}


def sites_of(
    columns: Mapping[str, npt.NDArray[np.str_]],
    *,
    train: npt.NDArray[np.bool_],
    own: bool,
    problems: list[str],
) -> Sites | None:
    """The sites of all rows, for ``data.scaling=local``.

    Parameters
    ----------
    columns : mapping of str to ndarray [N], str
        The further columns of the table; ``site`` is that of the sites, under its own name too.
    train : ndarray [N], bool
        The training rows.
    own : bool
        The table may be a site's own, as in a deployment: without the column, all rows are of one site.
    problems : list of str
        Takes what is wrong.

    Returns
    -------
    Sites or None
        None where something is wrong.
    """
    values = columns.get("site")
    if values is None:
        if own:
            return Sites(WHOLE, (WHOLE,), np.zeros(len(train), dtype=np.int64))
        problems.append(
            "data.scaling=local scales each row by the mean and deviation of its site's training rows, and no "
            "column names the sites; name it by data.columns.site, or set data.scaling=federated"
        )
        return None
    names, numbers = np.unique(values, return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.int64)
    column = next(name for name, texts in columns.items() if texts is values)
    if absent := [name for name in names.tolist() if is_missing(name)]:
        count = int(np.isin(values, absent).sum())
        problems.append(f"no site in {column!r} in {count_of(count, 'row')}, and data.scaling=local needs it")
    trained = np.bincount(numbers, weights=train, minlength=len(names))
    if few := [name for name, count in zip(names.tolist(), trained, strict=True) if count < 2]:
        problems.append(
            f"data.scaling=local needs two training rows of each site or more, and there are fewer of "
            f"{', '.join(map(repr, few[:10]))}, whose rows cannot be scaled (a deployment's server has "
            "test rows alone); set data.scaling=federated"
        )
    return Sites(column, tuple(names.tolist()), numbers)
