"""`Question` and `Fitting`: models that a server fits by asking all clients for sums over their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import FittingError
from shared.sums.exact import Floats, Ints

Arrays = Mapping[str, NDArray[Any]]
Shapes = dict[str, tuple[tuple[int, ...], str]]  # shape and type by name

MOST_ROWS = 2**40


@dataclass(frozen=True, eq=False)
class Question:
    """A question about the training rows of all clients, which holds all that its answer depends on.

    Attributes
    ----------
    kind : str
        ``model/question``, such as ``pca/sums``.
    arrays : mapping of str to ndarray
    """

    kind: str
    arrays: Arrays


Ask = Callable[[Question], Mapping[str, Arrays]]  # the answers of all clients, by name


class Answers(Protocol):
    """A client's half of a model; it keeps nothing, and its answers follow from the question and the rows."""

    def layout(self, question: Question) -> Shapes:
        """The arrays of an answer.

        Raises
        ------
        FittingError
            It is no question of this model.
        """
        ...

    def answer(self, question: Question, rows: Floats) -> Arrays:
        """Answer a question.

        Parameters
        ----------
        rows : ndarray [n, d], float64
            Finite.

        Raises
        ------
        FittingError
            It is of other columns.
        """
        ...

    def check(self, question: Question, answer: Arrays) -> None:
        """Check that an answer of the right shapes could be true.

        Raises
        ------
        FittingError
        """
        ...


class Fitting(Protocol):
    """A server's half of a model, which is a dictionary of arrays."""

    answers: Answers

    def empty(self) -> dict[str, NDArray[Any]]:
        """The model before its first iteration; its shapes never change."""
        ...

    def step(self, model: Arrays, ask: Ask) -> Arrays:
        """One iteration; the same model where nothing would change.

        Raises
        ------
        FittingError
            The rows allow no model, or an answer cannot be true.
        """
        ...

    def results(self, model: Arrays, rows: Floats) -> Floats:
        """What the model says of rows, [n, ...], the same bits for a row whichever rows stand beside it."""
        ...


def asked(question: Question, ask: Ask, *, answers: Answers) -> Mapping[str, Arrays]:
    """The answers of all clients, checked.

    Raises
    ------
    FittingError
        Names the client.
    """
    found = ask(question)
    for client, answer in found.items():
        try:
            answers.check(question, answer)
        except FittingError as error:
            raise FittingError(f"{client}: {error}") from None
    return found


def added(answers: Mapping[str, Arrays], name: str) -> Ints:
    """The sum of one array over all clients, exact."""
    total: Ints = np.stack([answer[name] for answer in answers.values()]).sum(axis=0)
    return total


def expect(question: Question, kinds: Mapping[str, tuple[str, int]]) -> None:
    """Check the arrays of a question, which somebody may have made up.

    Parameters
    ----------
    kinds : mapping of str to tuple of str and int
        Type and number of dimensions by name.

    Raises
    ------
    FittingError
    """
    found = {name: (str(array.dtype), array.ndim) for name, array in question.arrays.items()}
    if found != dict(kinds):
        raise FittingError(f"{question.kind}: expected the arrays {dict(kinds)}, got {found}")
    for name, array in question.arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FittingError(f"{question.kind}: {name} has values that are not finite")
