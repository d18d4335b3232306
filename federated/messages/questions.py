"""`Asked`: a question of an algorithm's server half, as Flower's records, and the answers, in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from federated.messages.records import ANSWER, CONFIG, KIND, PAST, QUESTION, array_of, values_of
from federated.messages.validate import array_problems
from federated.messages.wire import Layout
from shared.runtime.errors import ReplyRejected

Arrays = Mapping[str, npt.NDArray[Any]]
BEHIND = "behind"  # the one array of an answer of a client that must be told the past first
BEHIND_LAYOUT: Layout = {BEHIND: ((1,), "int64")}  # the number of the last question that it knows
_DIGEST = "digest"


@dataclass(frozen=True, eq=False)
class Asked:
    """A question between two rounds of training messages.

    Attributes
    ----------
    kind : str
        Which of the algorithm's questions.
    arrays : mapping of str to ndarray
    past : mapping of str to ndarray
        What a client must know that has kept nothing of earlier questions, as one that was started anew.
    digest : str
        Of the earlier questions, where a client is asked for its own log of them.
    """

    kind: str
    arrays: Arrays
    past: Arrays = field(default_factory=dict)
    digest: str = ""

    def to_content(self, order: ConfigRecord) -> RecordDict:
        """Pack it, with what every message says of its run."""
        return RecordDict(
            {
                CONFIG: order,
                KIND: ConfigRecord({KIND: self.kind, _DIGEST: self.digest}),
                QUESTION: _packed(self.arrays),
                PAST: _packed(self.past),
            }
        )

    @classmethod
    def from_message(cls, message: Message) -> Asked:
        """Unpack it."""
        content = message.content
        told, records = content.config_records[KIND], content.array_records
        return cls(
            cast(str, told[KIND]),
            unpacked_arrays(records[QUESTION]),
            past=unpacked_arrays(records[PAST]),
            digest=cast(str, told[_DIGEST]),
        )


def answer_content(arrays: Arrays) -> RecordDict:
    """A client's answer."""
    return RecordDict({ANSWER: _packed(arrays)})


def read_answer(content: RecordDict, *, layout: Layout) -> dict[str, npt.NDArray[Any]]:
    """What a client answers, checked.

    Parameters
    ----------
    layout : mapping
        The arrays that were asked for.

    Raises
    ------
    ReplyRejected
        Something else came.
    """
    if list(content) != [ANSWER] or list(content.array_records) != [ANSWER]:
        raise ReplyRejected(f"expected one record of arrays named {ANSWER!r}, got {list(content)}")
    arrays = content.array_records[ANSWER]
    if problems := array_problems(arrays, layout):
        raise ReplyRejected(f"its answer is not what was asked for: {'; '.join(problems[:10])}")
    return unpacked_arrays(arrays)


def is_behind(content: RecordDict) -> bool:
    """Whether a client asks to be told the past."""
    return list(content.array_records.get(ANSWER, {})) == [BEHIND]


def unpacked_arrays(arrays: ArrayRecord) -> dict[str, npt.NDArray[Any]]:
    """The numbers of a record of arrays."""
    return {name: np.array(values_of(array)) for name, array in arrays.items()}


def _packed(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: array_of(np.ascontiguousarray(array)) for name, array in arrays.items()})
