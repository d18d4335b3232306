"""How many rows all clients have, and how large their values are: what exact sums begin with."""

from __future__ import annotations

import numpy as np

from shared.runtime.errors import FittingError
from shared.sums.exact import LEAST, MOST, Floats, Ints, exponents_of
from shared.sums.questions import MOST_ROWS, Answers, Arrays, Ask, Question, Shapes, added, asked, expect


def scale_question(kind: str, width: int) -> Question:
    """Ask for rows and magnitudes of so many columns."""
    return Question(kind, {"width": np.array([width])})


def scale_layout(question: Question) -> Shapes:
    """The arrays of its answer.

    Raises
    ------
    FittingError
    """
    expect(question, {"width": ("int64", 1)})
    return {"rows": ((1,), "int64"), "exponents": ((int(question.arrays["width"][0]),), "int64")}


def scale_answer(rows: Floats) -> Arrays:
    """How many rows there are, and for each column the exponent of a power of two above all magnitudes."""
    return {"rows": np.array([len(rows)]), "exponents": exponents_of(rows)}


def check_scale(answer: Arrays) -> None:
    """Check that an answer could be true.

    Raises
    ------
    FittingError
    """
    rows, exponents = int(answer["rows"][0]), answer["exponents"]
    if not 0 <= rows <= MOST_ROWS:
        raise FittingError(f"expected 0 to {MOST_ROWS} rows, got {rows}")
    if len(exponents) and not LEAST <= exponents.min() <= exponents.max() <= MOST:
        raise FittingError(
            f"expected values of magnitudes from 2**{LEAST} to 2**{MOST}, got 2**{exponents.max()}; with "
            "data.scaling=federated they are near 1"
        )


def take_scale(kind: str, width: int, ask: Ask, *, answers: Answers) -> tuple[dict[str, int], Ints]:
    """Rows of each client, and the exponents of all together [d].

    Raises
    ------
    FittingError
        No client has a row.
    """
    found = asked(scale_question(kind, width), ask, answers=answers)
    if not added(found, "rows")[0]:
        raise FittingError("no client has a training row")
    rows = {client: int(answer["rows"][0]) for client, answer in found.items()}
    exponents: Ints = np.max([answer["exponents"] for answer in found.values()], axis=0)
    return rows, exponents
