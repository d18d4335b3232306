"""`calendar_columns`: hour, weekday and month of each step as points on a circle, known ahead of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints

Feature = Literal["hour", "weekday", "month"]

_HOUR, _DAY = 3_600_000_000, 86_400_000_000  # microseconds
_MONDAY = 3  # 1970 began on a Thursday


def calendar_columns(times: Ints, features: Sequence[Feature]) -> npt.NDArray[np.float32]:
    """Sine and cosine of each feature: the last hour of a day is as near to the first as any two are.

    Parameters
    ----------
    times : ndarray [T], int64
        Microseconds since 1970; of times without a zone the hour that was written, of others that in UTC.
    features : sequence of str
        ``hour`` of the day, with its minutes; ``weekday``; ``month``, with its days.

    Returns
    -------
    ndarray [T, 2 * features], float32
    """
    found = np.zeros((len(times), 2 * len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        angle = 2 * np.pi * _share(times, feature)
        found[:, 2 * place], found[:, 2 * place + 1] = np.sin(angle), np.cos(angle)
    return found


def _share(times: Ints, feature: Feature) -> npt.NDArray[np.float64]:
    if feature == "hour":
        return (times % _DAY) / _DAY
    if feature == "weekday":
        return ((times // _DAY + _MONDAY) % 7) / 7
    days = (times // _DAY).astype("datetime64[D]")
    year = days.astype("datetime64[Y]")
    length = ((year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")).astype(np.float64)
    share: npt.NDArray[np.float64] = (days - year.astype("datetime64[D]")).astype(np.float64) / length
    return share
