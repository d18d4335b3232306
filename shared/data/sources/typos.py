"""`likely_typos`: rare labels that are spelled as a common one but for a letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_SHORTEST = 5  # letters; of shorter words one makes another word
_RARE = 0.2  # of the rows of the other label
_MOST = 200  # labels that are compared with each other


def likely_typos(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Find labels that may be another one mistyped: ``pnuemonia``, of few rows, beside ``pneumonia``.

    Returns
    -------
    list of (str, str)
        The rare label and the common one; they differ in one letter that is added, missing, another, or swapped
        with its neighbour, and in no digit.
    """
    counts = Counter(texts)
    if len(counts) > _MOST:
        return []
    pairs = (
        (rare, common)
        for rare in sorted(counts)
        for common in sorted(counts)
        if counts[rare] <= _RARE * counts[common] and _one_letter_apart(rare.casefold(), common.casefold())
    )
    return list(pairs)


def _one_letter_apart(one: str, other: str) -> bool:
    if min(len(one), len(other)) < _SHORTEST or abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    left, right = one[start:], other[start:]
    changed = {*left[:1], *right[:1]}
    if len(one) == len(other):
        same = left[1:] == right[1:] or (left[:2] == right[:2][::-1] and left[2:] == right[2:])
    else:
        longer, shorter = (left, right) if len(one) > len(other) else (right, left)
        same, changed = longer[1:] == shorter, {longer[0]}
    return same and all(map(str.isalpha, changed))
