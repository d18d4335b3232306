from __future__ import annotations

import pytest

from shared.runtime.counts import count_of


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (3000, "training row", "3,000 training rows"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
        (5, "local epoch", "5 local epochs"),
    ],
)
def test_a_count_and_its_noun(number: int, noun: str, text: str) -> None:
    assert count_of(number, noun) == text
