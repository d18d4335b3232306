"""Untrusted replies: their records become plain values, or the reply is rejected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict

from federated.messages.records import (
    CLIENT,
    CLIENT_ID,
    ERROR,
    NUM_EXAMPLES,
    NUM_PARTITIONS,
    NUM_VAL,
    POINTS,
    PROFILE,
    SCHEMA,
    STATISTICS,
    ClientInfo,
)
from shared.data.profile import Profile
from shared.data.schema import Schema
from shared.metrics.catalogue import BY_SERVER
from shared.metrics.judge import Judge
from shared.metrics.point import MetricPoint, Stage
from shared.metrics.statistics import Statistics
from shared.runtime import errors
from shared.runtime.errors import FedtwinError, ReplyRejected

MAX_NAMES = 100  # metrics of a reply
_MAX_WHOLE = 2**31 - 1  # what every database takes
_MAX_VALUE = float(np.finfo(np.float32).max)  # weighted sums of such values cannot overflow
_NAME = re.compile(r"[A-Za-z0-9_.@/-]{1,100}")


def printable(text: str, *, limit: int = 4000) -> str:
    """Text from outside, safe to print and to store.

    Parameters
    ----------
    limit : int
        Characters.

    Returns
    -------
    str
        Line breaks are kept, other control characters are "?".
    """
    clean = "".join(char if char.isprintable() or char == "\n" else "?" for char in text[:limit])
    return f"{clean}..." if len(text) > limit else clean


def telling_line_first(reason: str) -> str:
    """What Flower says of a client that failed, with the line first that says most: the last of a traceback.

    Returns
    -------
    str
        The end of a long reason is kept.
    """
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    if len(lines) < 2:
        return "".join(lines)[-1500:] or "no reason given"
    line = lines[-1] if 'File "' in reason else lines[0]
    return f"{line[:300]}\n{reason.strip()[-1500:]}"


def read_error(content: RecordDict) -> FedtwinError | None:
    """The error that a client reports instead of a reply.

    Returns
    -------
    FedtwinError or None
        Of the class that the client names, if there is such a one.
    """
    record = content.config_records.get(ERROR)
    if record is None:
        return None
    kind = getattr(errors, str(record.get("name")), FedtwinError)
    known = isinstance(kind, type) and issubclass(kind, FedtwinError)
    error: FedtwinError = (kind if known else FedtwinError)(printable(str(record.get("text"))))
    return error


def read_info(reply: Message) -> ClientInfo:
    """What a client says of itself.

    Raises
    ------
    ReplyRejected
        It is not there, not readable, or contradicts itself.
    """
    record = reply.content.config_records.get(CLIENT)
    if record is None:
        raise ReplyRejected(f"expected a ConfigRecord '{CLIENT}', got {sorted(reply.content)}")
    try:
        info = ClientInfo(
            client_id=_whole(record[CLIENT_ID]),
            num_partitions=_whole(record[NUM_PARTITIONS]),
            name=printable(_text(record["name"]), limit=200).replace("\n", " "),
            schema=Schema.from_json(_text(record[SCHEMA])),
            num_examples=_whole(record[NUM_EXAMPLES]),
            profile=Profile.from_json(_text(record[PROFILE])),
            num_val=_whole(record[NUM_VAL]),
        )
    except (KeyError, ValueError, RecursionError) as error:
        raise ReplyRejected(f"the client's description cannot be read: {error!r:.400}") from None
    profile = info.profile
    every = [count for counts in (*profile.counts.values(), profile.missing) for count in counts.values()]
    if max(every, default=0) > info.num_examples:
        raise ReplyRejected(f"its profile counts {max(every)} rows of {info.num_examples} examples")
    return info


def read_points(
    content: RecordDict, *, stage: Stage, round: int, client_id: int, epochs: int
) -> list[MetricPoint]:
    """The points of a reply, checked.

    Parameters
    ----------
    stage : {"train", "val"}
        What the reply answers; all points must be of it.
    epochs : int
        ``federation.local_epochs``: a metric has a value for each, and one without an epoch.

    Raises
    ------
    ReplyRejected
        They are not there, or not points, or come twice, or are more than a training of so many epochs has;
        or a value is NaN, infinite or beyond 32 bits.
    """
    record = content.config_records.get(POINTS)
    if record is None:
        raise ReplyRejected(f"expected a ConfigRecord '{POINTS}', got {sorted(content)}")
    try:
        columns = [_list(record, key) for key in ("stages", "names", "values", "epochs", "counts")]
        if (found := max(map(len, columns))) > (most := MAX_NAMES * (epochs + 1)):
            raise ReplyRejected(
                f"it has {found} points; at most {most} are expected: {MAX_NAMES} metrics, each for "
                f"{epochs} local epochs and once more"
            )
        points = [
            MetricPoint(
                stage=_stage(given, stage),
                name=_name(name),
                value=_value(value, name),
                epoch=_whole(epoch) or None,
                round=round,
                client_id=client_id,
                num_examples=_whole(count) or None,
            )
            for given, name, value, epoch, count in zip(*columns, strict=True)
        ]
    except ValueError as error:
        raise ReplyRejected(f"its points cannot be read: {error}") from None
    if len({(point.name, point.epoch) for point in points}) < len(points):
        raise ReplyRejected("its points hold two values for the same name and epoch")
    return points


def read_statistics(
    content: RecordDict, *, judge: Judge, num_examples: int, required: bool
) -> Statistics | None:
    """The statistics of an evaluate reply, checked.

    Parameters
    ----------
    judge : ClassificationMetrics
        Knows their shapes, and what rows can have.
    num_examples : int
        What they must add up to.
    required : bool
        Whether a reply without them is rejected; a site may keep them to itself.

    Raises
    ------
    ReplyRejected
    """
    record = content.config_records.get(STATISTICS)
    if record is None:
        if required:
            raise ReplyRejected(f"expected a ConfigRecord '{STATISTICS}' (trainer.threshold=val)")
        return None
    packed: dict[str, bytes] = {}
    for name, value in record.items():
        if not isinstance(value, bytes):
            raise ReplyRejected(f"its statistics cannot be read: expected bytes, got {_short(value)}")
        packed[name] = value
    try:
        statistics = Statistics.from_bytes(packed, layout=judge.layout)
        judge.check(statistics, rows=num_examples)
    except ValueError as error:
        raise ReplyRejected(f"its statistics do not fit: {error}") from None
    return statistics


def _list(record: ConfigRecord, key: str) -> Sequence[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        raise ValueError(f"'{key}' must be a list, got {type(value).__name__}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {type(value).__name__}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_WHOLE:
        raise ValueError(f"expected a whole number in [0, {_MAX_WHOLE}], got {_short(value)}")
    return value


def _value(value: Any, name: Any) -> float:
    # The comparison is false for NaN.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_VALUE:
        raise ValueError(f"{name} is {_short(value)}, expected a finite number of 32 bits")
    return float(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"expected a name of letters, digits and _.@/-, got {_short(value)}")
    if value in BY_SERVER:
        raise ValueError(f"{value} is measured by the server")
    return value


def _stage(value: Any, expected: Stage) -> Stage:
    if value != expected:
        raise ValueError(f"expected stage {expected}, got {_short(value)}")
    return cast(Stage, value)


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 2**63:  # the text of huge numbers is an error of its own
        return "a number beyond 64 bits"
    return repr(value)[:100]
