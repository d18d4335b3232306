"""Profiles of clients with labels, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.data.profile import CountTable, Profile


def labelled(*counts: int, names: Sequence[str] | None = None) -> Profile:
    """So many training rows of each label, ``0``, ``1`` ... unless named."""
    names = [str(number) for number in range(len(counts))] if names is None else names
    return Profile(counts={"label": dict(zip(names, counts, strict=True))} if counts else {})


def stored(*counts: int) -> dict[str, Any]:
    """The same as a `ClientRow` has it."""
    return labelled(*counts).as_dict()


def counted(counts: ArrayLike, values: Sequence[str], clients: Sequence[str] | None = None) -> CountTable:
    """A table of labels in which each row has one; clients are ``0``, ``1`` ... unless named."""
    table = np.asarray(counts, dtype=np.int64)
    clients = [str(number) for number in range(len(table))] if clients is None else clients
    return CountTable("label", tuple(values), tuple(clients), table, table.sum(axis=1))
