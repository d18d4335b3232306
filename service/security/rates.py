"""`Rates`: how many requests a caller may send; a bucket of tokens for each."""

from __future__ import annotations

import time
from collections import OrderedDict

MOST_CALLERS = 10_000
BURST_S = 10.0


class Rates:
    """Counts requests of callers, in this process alone; not thread-safe: it is used in the event loop.

    Parameters
    ----------
    per_s : float
        Requests a second that a caller may send for long; ten seconds' worth may come at once. 0: no limit.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s, self._most = per_s, max(per_s * BURST_S, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str, *, now: float | None = None) -> float:
        """Take one request of a caller's.

        Returns
        -------
        float, seconds
            0 if it may be sent; otherwise when the next one may.
        """
        if not self._per_s:
            return 0.0
        now = time.monotonic() if now is None else now
        left, since = self._buckets.pop(caller, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._buckets[caller] = (left if wait_s else left - 1, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)  # whoever was silent for longest
        return wait_s
