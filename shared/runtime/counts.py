"""`count_of`: a number and what is counted, as people write it."""

from __future__ import annotations


def count_of(number: int, noun: str) -> str:
    """A number and its noun: ``1 row``, ``2 classes``, ``3,000 rows``.

    Parameters
    ----------
    noun : str
        One of them; words before the last one stay as they are (``training row``).
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"
