"""State dicts, orders and points as Flower's records, with its kebab-case keys; `parse` reads the replies."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from numpy.lib import format as npy
from torch import Tensor, nn

from shared.data.profile import Profile
from shared.data.schema import Schema
from shared.metrics.point import MetricPoint
from shared.metrics.statistics import Statistics
from shared.runtime.errors import FedtwinError

ARRAYS, METRICS, CONFIG, POINTS, CLIENT = "arrays", "metrics", "config", "points", "client"
STATISTICS, ERROR = "statistics", "error"
QUESTION, PAST, KIND, ANSWER = "question", "past", "kind", "answer"
SUMS = "sums"  # the name of the query in which a server asks
ASK = f"{MessageType.QUERY}.{SUMS}"
_NUMPY = "numpy.ndarray"  # Flower's name of the bytes of `numpy.save`
NUM_EXAMPLES, SERVER_ROUND, LR_SCALE, RUN_KEY = "num-examples", "server-round", "lr-scale", "run-key"
AGREED, STATE_ROUND = "agreed", "state-round"
CLIENT_ID, NUM_PARTITIONS, NUM_VAL = "client-id", "num-partitions", "num-val"
SCHEMA, PROFILE = "schema", "profile"  # JSON


@dataclass(frozen=True)
class TrainOrder:
    """What the server tells a client beside the arrays.

    Attributes
    ----------
    snapshot : str
        The run's resolved config, JSON.
    round : int
        Server round, from 1.
    lr_scale : float
        Factor on the learning rate.
    agreed : str
        What every fit must know of all training rows together (`TaskSpec.agree`), JSON.
    run_key : str
        32 hexadecimal digits, under which a client keeps what it needs in a later round.
    state_round : int
        The last round in which the server accepted this client's reply to a train message, whose state is the
        client's; 0: none.
    """

    snapshot: str
    round: int = 0
    lr_scale: float = 1.0
    agreed: str = "{}"
    run_key: str = ""
    state_round: int = 0

    def to_record(self) -> ConfigRecord:
        """Pack it."""
        return ConfigRecord(
            {
                "snapshot": self.snapshot.encode(),  # as bytes, which Flower leaves out of its log
                SERVER_ROUND: self.round,
                LR_SCALE: self.lr_scale,
                AGREED: self.agreed,
                RUN_KEY: self.run_key,
                STATE_ROUND: self.state_round,
            }
        )

    @classmethod
    def from_message(cls, message: Message) -> TrainOrder:
        """Unpack it."""
        record = message.content.config_records[CONFIG]
        return cls(
            snapshot=cast(bytes, record["snapshot"]).decode(),
            round=int(cast(int, record[SERVER_ROUND])),  # no text, which could be part of a path
            lr_scale=cast(float, record[LR_SCALE]),
            agreed=cast(str, record.get(AGREED, "{}")),
            run_key=cast(str, record.get(RUN_KEY, "")),
            state_round=int(cast(int, record.get(STATE_ROUND, 0))),
        )


@dataclass(frozen=True)
class ClientInfo:
    """What a client says of itself before the first round.

    Attributes
    ----------
    client_id : int
        The partition.
    schema : Schema
        What its rows hold.
    num_examples : int
        Training rows.
    profile : Profile
        What it says of its training rows.
    num_val : int
        Validation rows; a client without any is not asked to evaluate.
    """

    client_id: int
    num_partitions: int
    name: str
    schema: Schema
    num_examples: int
    profile: Profile
    num_val: int

    def to_record(self) -> ConfigRecord:
        """Pack it."""
        return ConfigRecord(
            {
                CLIENT_ID: self.client_id,
                NUM_PARTITIONS: self.num_partitions,
                "name": self.name,
                SCHEMA: self.schema.to_json(),
                NUM_EXAMPLES: self.num_examples,
                PROFILE: self.profile.to_json(),
                NUM_VAL: self.num_val,
            }
        )


def arrays_of(network: nn.Module) -> ArrayRecord:
    """The network's parameters and buffers.

    Returns
    -------
    ArrayRecord
        Keys of its state_dict, in its order.
    """
    return arrays_from_state(network.state_dict())


def arrays_from_state(state: Mapping[str, Tensor]) -> ArrayRecord:
    """Tensors as Flower's arrays, contiguous whatever their memory format.

    Truth values, such as those of a mask, travel as whole numbers: not every strategy can count with them.
    """
    numbers = {key: t.to(torch.int8) if t.dtype == torch.bool else t for key, t in state.items()}
    return ArrayRecord({key: array_of(tensor.detach().cpu().numpy()) for key, tensor in numbers.items()})


def array_of(values: npt.NDArray[Any]) -> Array:
    """Numbers as one of Flower's arrays, as ``Array(values)`` is, in half the time.

    Returns
    -------
    Array
        In C order.
    """
    data = _header(values.shape, values.dtype) + values.tobytes()
    return Array(dtype=str(values.dtype), shape=values.shape, stype=_NUMPY, data=data)


@lru_cache(maxsize=256)
def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    buffer = io.BytesIO()
    layout = {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(dtype)}
    npy.write_array_header_1_0(buffer, layout)
    return buffer.getvalue()


def state_of(arrays: ArrayRecord) -> dict[str, Tensor]:
    """Flower's arrays as tensors."""
    return {key: torch.from_numpy(np.array(values_of(array))) for key, array in arrays.items()}


def values_of(array: Array) -> npt.NDArray[Any]:
    """The numbers of one of Flower's arrays, where they lie: without reading their header anew.

    Returns
    -------
    ndarray
        Not to be written to.

    Raises
    ------
    Exception
        Of any kind: its bytes, which may come from anybody, are no NumPy array without pickles.
    """
    data = array.data
    start = 10 + int.from_bytes(data[8:10], "little")
    layout = _layout(data[:start]) if array.stype == _NUMPY else None
    if layout is None:
        return array.numpy()
    shape, dtype = layout
    return np.frombuffer(data, dtype, count=math.prod(shape), offset=start).reshape(shape)


@lru_cache(maxsize=256)
def _layout(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    handle = io.BytesIO(header)
    if npy.read_magic(handle) != (1, 0):
        return None
    shape, fortran_order, dtype = npy.read_array_header_1_0(handle)
    plain = not fortran_order and not dtype.hasobject and min(shape, default=0) >= 0
    return (shape, dtype) if plain else None  # NumPy itself reads what is not, or says what is wrong with it


def size_in_bytes(content: RecordDict) -> int:
    """Bytes of what a message carries, without Flower's envelope.

    Returns
    -------
    int
        8 a number, UTF-8 for text. Flower's own ``count_bytes`` raises on an empty list.
    """
    total = sum(len(array.data) for record in content.array_records.values() for array in record.values())
    others: list[MetricRecord | ConfigRecord] = [
        *content.metric_records.values(),
        *content.config_records.values(),
    ]
    for record in others:
        for key, value in record.items():
            total += _size(key) + sum(map(_size, value if isinstance(value, list) else [value]))
    return total


def reply_content(
    *,
    points: Sequence[MetricPoint],
    num_examples: int,
    arrays: ArrayRecord | None = None,
    extra: Mapping[str, ArrayRecord] | None = None,
    statistics: Statistics | None = None,
) -> RecordDict:
    """A client's reply to a train or evaluate message.

    Parameters
    ----------
    num_examples : int
        The weight in the aggregation.
    arrays : ArrayRecord, optional
        The trained parameters.
    extra : mapping of str to ArrayRecord, optional
        Further records that the algorithm declares, by name.
    statistics : Statistics, optional
        Of the validation rows.
    """
    content = RecordDict(
        {
            METRICS: MetricRecord({NUM_EXAMPLES: num_examples}),
            POINTS: ConfigRecord(
                {
                    "stages": [str(point.stage) for point in points],
                    "names": [point.name for point in points],
                    "values": [float(point.value) for point in points],
                    "epochs": [point.epoch or 0 for point in points],
                    "counts": [point.num_examples or 0 for point in points],
                }
            ),
        }
    )
    if arrays is not None:
        content[ARRAYS] = arrays
    for name, record in (extra or {}).items():
        content[name] = record
    if statistics is not None:
        packed: dict[str, Any] = dict(statistics.to_bytes())
        content[STATISTICS] = ConfigRecord(packed)
    return content


def error_content(error: FedtwinError) -> RecordDict:
    """A client's reply that says, in our words, why there is no other; Flower's would be a traceback."""
    return RecordDict({ERROR: ConfigRecord({"name": type(error).__name__, "text": str(error)})})


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    return len(value) if isinstance(value, bytes) else 8
