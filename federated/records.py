"""State dicts and metric points to and from Flower's records; the only place with Flower's kebab-case keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from torch import Tensor, nn

from shared.errors import ReplyRefused
from shared.metrics import MetricPoint, Stage
from shared.model.scores import THRESHOLD_BINS

ARRAYS, METRICS, CONFIG, POINTS, CLIENT = "arrays", "metrics", "config", "points", "client"
THRESHOLDS = "thresholds"
NUM_EXAMPLES, SERVER_ROUND, LR_SCALE = "num-examples", "server-round", "lr-scale"
MAX_POINTS = 100_000


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
    class_weights : list of float or None
        Weights of the classes in the training loss.
    """

    snapshot: str
    round: int = 0
    lr_scale: float = 1.0
    class_weights: list[float] | None = None

    def to_record(self) -> ConfigRecord:
        """Pack it.

        Returns
        -------
        ConfigRecord
        """
        return ConfigRecord(
            {
                "snapshot": self.snapshot.encode(),  # as bytes, which Flower leaves out of its log
                SERVER_ROUND: self.round,
                LR_SCALE: self.lr_scale,
                **({"class-weights": self.class_weights} if self.class_weights else {}),
            }
        )

    @classmethod
    def from_message(cls, message: Message) -> TrainOrder:
        """Unpack it.

        Parameters
        ----------
        message : Message

        Returns
        -------
        TrainOrder
        """
        record = message.content.config_records[CONFIG]
        return cls(
            snapshot=cast(bytes, record["snapshot"]).decode(),
            round=cast(int, record[SERVER_ROUND]),
            lr_scale=cast(float, record[LR_SCALE]),
            class_weights=cast("list[float] | None", record.get("class-weights")),
        )


@dataclass(frozen=True)
class ClientInfo:
    """What a client says of itself before the first round.

    Attributes
    ----------
    client_id : int
        The partition.
    num_partitions : int
    name : str
    num_examples : int
        Training rows.
    label_counts : list of int
        Training rows of each class.
    num_val : int
        Validation rows; a client without any is not asked to evaluate.
    """

    client_id: int
    num_partitions: int
    name: str
    num_examples: int
    label_counts: list[int]
    num_val: int

    def to_record(self) -> ConfigRecord:
        """Pack it.

        Returns
        -------
        ConfigRecord
        """
        return ConfigRecord(
            {
                "client-id": self.client_id,
                "num-partitions": self.num_partitions,
                "name": self.name,
                NUM_EXAMPLES: self.num_examples,
                "label-counts": self.label_counts,
                "num-val": self.num_val,
            }
        )

    @classmethod
    def from_message(cls, message: Message) -> ClientInfo:
        """Unpack and check it.

        Parameters
        ----------
        message : Message

        Returns
        -------
        ClientInfo

        Raises
        ------
        ReplyRefused
        """
        record = message.content.config_records.get(CLIENT)
        try:
            assert record is not None
            info = cls(
                client_id=_whole(record["client-id"]),
                num_partitions=_whole(record["num-partitions"]),
                name=str(record["name"])[:200],
                num_examples=_whole(record[NUM_EXAMPLES]),
                label_counts=[_whole(count) for count in cast("list[Any]", record["label-counts"])],
                num_val=_whole(record["num-val"]),
            )
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ReplyRefused(f"the client's description cannot be read: {error!r}") from None
        if sum(info.label_counts) != info.num_examples:
            raise ReplyRefused(
                f"label counts {info.label_counts} do not add up to {info.num_examples} examples"
            )
        return info


def arrays_of(network: nn.Module) -> ArrayRecord:
    """The network's parameters and buffers.

    Parameters
    ----------
    network : nn.Module

    Returns
    -------
    ArrayRecord
        Keys of its state_dict, in its order.
    """
    return arrays_from_state(network.state_dict())


def arrays_from_state(state: Mapping[str, Tensor]) -> ArrayRecord:
    """Tensors as Flower's arrays, contiguous whatever their memory format.

    Parameters
    ----------
    state : mapping of str to Tensor

    Returns
    -------
    ArrayRecord
    """
    return ArrayRecord(
        {key: Array(np.ascontiguousarray(tensor.detach().cpu().numpy())) for key, tensor in state.items()}
    )


def state_of(arrays: ArrayRecord) -> dict[str, Tensor]:
    """Flower's arrays as tensors.

    Parameters
    ----------
    arrays : ArrayRecord

    Returns
    -------
    dict of str to Tensor
    """
    return {key: torch.from_numpy(np.array(array.numpy())) for key, array in arrays.items()}


def size_in_bytes(content: RecordDict) -> int:
    """Bytes of what a message carries, without Flower's envelope.

    Parameters
    ----------
    content : RecordDict

    Returns
    -------
    int
        8 a number, UTF-8 for text. Flower's own ``count_bytes`` raises on an empty list.
    """
    total = sum(len(array.data) for record in content.array_records.values() for array in record.values())
    for record in (*content.metric_records.values(), *content.config_records.values()):
        for key, value in record.items():
            total += len(key.encode()) + sum(map(_size, value if isinstance(value, list) else [value]))
    return total


def reply_content(
    *,
    points: Sequence[MetricPoint],
    num_examples: int,
    arrays: ArrayRecord | None = None,
    thresholds: npt.NDArray[np.int64] | None = None,
) -> RecordDict:
    """A client's reply to a train or evaluate message.

    Parameters
    ----------
    points : sequence of MetricPoint
    num_examples : int
        The weight in the aggregation.
    arrays : ArrayRecord, optional
        The trained parameters.
    thresholds : ndarray [2, 1000], int64, optional
        From `shared.model.scores.threshold_counts`.

    Returns
    -------
    RecordDict
    """
    content = RecordDict(
        {
            METRICS: MetricRecord({NUM_EXAMPLES: num_examples}),
            POINTS: ConfigRecord(
                {
                    "stages": [point.stage for point in points],
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
    if thresholds is not None:
        content[THRESHOLDS] = ConfigRecord(
            {"negatives": thresholds[0].tolist(), "positives": thresholds[1].tolist()}
        )
    return content


def read_thresholds(content: RecordDict) -> npt.NDArray[np.int64] | None:
    """The threshold counts of an evaluate reply, checked.

    Parameters
    ----------
    content : RecordDict

    Returns
    -------
    ndarray [2, 1000], int64, or None
        None if there are none.

    Raises
    ------
    ReplyRefused
    """
    record = content.config_records.get(THRESHOLDS)
    if record is None:
        return None
    try:
        rows = [
            [_whole(count) for count in cast("list[Any]", record[key])] for key in ("negatives", "positives")
        ]
        counts = np.array(rows, dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ReplyRefused(f"its threshold counts cannot be read: {error}") from None
    if counts.shape != (2, THRESHOLD_BINS):
        raise ReplyRefused(f"its threshold counts have shape {counts.shape}, expected (2, {THRESHOLD_BINS})")
    return counts


def read_points(content: RecordDict, *, round: int, client_id: int) -> list[MetricPoint]:
    """The points of a reply, checked.

    Parameters
    ----------
    content : RecordDict
    round : int
    client_id : int

    Returns
    -------
    list of MetricPoint

    Raises
    ------
    ReplyRefused
        They are not there, or not points, or a value is NaN or infinite.
    """
    record = content.config_records.get(POINTS)
    if record is None:
        raise ReplyRefused(f"expected a ConfigRecord '{POINTS}', got {sorted(content.keys())}")
    try:
        columns = [
            list(cast("list[Any]", record[key])) for key in ("stages", "names", "values", "epochs", "counts")
        ]
        rows = list(zip(*columns, strict=True))
        points = [
            MetricPoint(
                stage=_stage(stage),
                name=str(name)[:100],
                value=float(value),
                epoch=_whole(epoch) or None,
                round=round,
                client_id=client_id,
                num_examples=_whole(count),
            )
            for stage, name, value, epoch, count in rows[: MAX_POINTS + 1]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReplyRefused(f"its points cannot be read: {error}") from None
    if len(points) > MAX_POINTS:
        raise ReplyRefused(f"it has {len(rows)} points, more than {MAX_POINTS}")
    for point in points:
        if not math.isfinite(point.value):
            raise ReplyRefused(f"{point.stage}/{point.name} is {point.value}")
    return points


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    return len(value) if isinstance(value, bytes) else 8


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number of at least 0, got {value!r}")
    return value


def _stage(value: Any) -> Stage:
    if value not in ("train", "val"):
        raise ValueError(f"expected stage train or val, got {value!r}")
    return cast(Stage, value)
