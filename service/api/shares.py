"""`busy_with`: what a server does at once is limited, and so is each tenant's part of it."""

from __future__ import annotations

from collections import Counter


def busy_with(under_way: Counter[str], tenant: str, *, most_of_tenant: int, most: int) -> int | None:
    """How much is under way, of a tenant or in all, where that is as much as may be; None: there is room.

    Parameters
    ----------
    under_way : Counter
        By the name of a tenant.
    """
    for count, limit in ((under_way[tenant], most_of_tenant), (under_way.total(), most)):
        if count >= limit:
            return count
    return None
