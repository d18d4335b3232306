"""`Predictions`: what a model says about new rows, one answer each; imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd


class Predictions(ABC):
    """What a model says about rows; each kind of answer is a subclass.

    Attributes
    ----------
    names : tuple of str
        Of the files, or the numbers of the rows from 0.
    noun : str
        What a row is, for tables.
    values_are : str
        What `columns` holds.
    """

    names: tuple[str, ...]
    noun = "row"
    values_are: ClassVar[str] = "probabilities"

    @property
    @abstractmethod
    def answers(self) -> list[Any]:
        """The prediction for each row, a text or a number."""

    @property
    def certainties(self) -> list[float] | None:
        """The probability of each answer, where it has one."""
        return None

    def columns(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """What there are probabilities or distances of, K names, and these, [N, K]; none for numbers."""
        return (), np.zeros((len(self.names), 0), dtype=np.float32)

    def frame(self) -> pd.DataFrame:
        """One row each, by name: ``prediction``, and the values of `columns`."""
        import pandas as pd

        columns, values = self.columns()
        frame = pd.DataFrame(values, columns=list(columns), index=pd.Index(self.names, name=self.noun))
        frame.insert(0, "prediction", self.answers, allow_duplicates=True)
        return frame

    def records(self) -> list[dict[str, Any]]:
        """One object a row, in JSON's types: its name, ``prediction``, and the values of `columns` by name."""
        columns, values = self.columns()
        return [
            {
                self.noun: name,
                "prediction": list(answer) if isinstance(answer, tuple) else answer,
                **({self.values_are: dict(zip(columns, row, strict=True))} if columns else {}),
            }
            for name, answer, row in zip(self.names, self.answers, values.tolist(), strict=True)
        ]

    def _repr_html_(self) -> str:
        return self.frame().to_html()


@dataclass(frozen=True)
class NumberPredictions(Predictions):
    """A number for each row, in the unit of the target.

    Attributes
    ----------
    numbers : ndarray [N], float32
    """

    names: tuple[str, ...]
    numbers: npt.NDArray[np.float32] = field(repr=False)
    noun: str = "row"

    @property
    def answers(self) -> list[float]:
        """The numbers."""
        return [float(number) for number in self.numbers]
