"""Which replies enter the aggregation: `check_reply` refuses by name what breaks the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, RecordDict

from federated.records import METRICS, NUM_EXAMPLES
from shared.errors import ReplyRefused, bullet_list


@dataclass(frozen=True)
class Contract:
    """What a reply must look like.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Of the global model's arrays.
    dtypes : dict of str to str
        NumPy's names.
    max_examples : int
        ``federation.max_examples``.
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    max_examples: int

    @classmethod
    def of(cls, arrays: ArrayRecord, *, max_examples: int) -> Contract:
        """The contract of a global model.

        Parameters
        ----------
        arrays : ArrayRecord
        max_examples : int

        Returns
        -------
        Contract
        """
        return cls(
            shapes={key: tuple(array.shape) for key, array in arrays.items()},
            dtypes={key: array.dtype for key, array in arrays.items()},
            max_examples=max_examples,
        )


def check_reply(content: RecordDict, *, contract: Contract, announced: int | None) -> int:
    """Check a reply to a train message (it must hold arrays) or an evaluate message (``announced`` is None).

    Parameters
    ----------
    content : RecordDict
    contract : Contract
    announced : int or None
        Training rows that the client told of before the first round; None for an evaluate reply.

    Returns
    -------
    int
        Its number of examples.

    Raises
    ------
    ReplyRefused
        With the reason.
    """
    count = _count(content, contract)
    if announced is None:
        return count
    if count != announced:
        raise ReplyRefused(
            f"'{NUM_EXAMPLES}' is {count}, but the client announced {announced} training examples"
        )
    records = list(content.array_records.values())
    if len(records) != 1:
        raise ReplyRefused(f"expected one ArrayRecord, got {len(records)}")
    problems = _array_problems(records[0], contract)
    if problems:
        raise ReplyRefused("its arrays do not fit the global model:\n" + bullet_list(problems, limit=10))
    return count


def _count(content: RecordDict, contract: Contract) -> int:
    records = list(content.metric_records.values())
    if len(records) != 1:
        raise ReplyRefused(f"expected one MetricRecord '{METRICS}', got {len(records)}")
    extra = sorted(set(records[0]) - {NUM_EXAMPLES})
    if extra:
        raise ReplyRefused(f"unexpected keys in '{METRICS}': {extra}")
    count: Any = records[0].get(NUM_EXAMPLES)
    if isinstance(count, bool) or not isinstance(count, int):
        raise ReplyRefused(f"'{NUM_EXAMPLES}' must be a whole number, got {count!r}")
    if not 1 <= count <= contract.max_examples:
        raise ReplyRefused(
            f"'{NUM_EXAMPLES}' must be in [1, {contract.max_examples}] (federation.max_examples), got {count}"
        )
    return count


def _array_problems(arrays: ArrayRecord, contract: Contract) -> list[str]:
    problems = [f"{key} is missing" for key in contract.shapes if key not in arrays]
    problems += [f"{key} is not an array of the model" for key in arrays if key not in contract.shapes]
    for key, array in arrays.items():
        if key not in contract.shapes:
            continue
        if tuple(array.shape) != contract.shapes[key] or array.dtype != contract.dtypes[key]:
            problems.append(
                f"{key}: expected {contract.dtypes[key]} {contract.shapes[key]}, got {array.dtype} {tuple(array.shape)}"
            )
            continue
        try:
            values = array.numpy()
        except (ValueError, EOFError, OSError, TypeError) as error:
            problems.append(f"{key} cannot be decoded: {error}")
            continue
        if values.shape != contract.shapes[key] or str(values.dtype) != contract.dtypes[key]:
            problems.append(f"{key}: its bytes are {values.dtype} {values.shape}, not what its header says")
        elif not np.isfinite(values).all():
            bad = int(np.size(values) - np.isfinite(values).sum())
            problems.append(f"{key} has {bad} values that are NaN or infinite")
    return problems
