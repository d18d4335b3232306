"""What may leave a site: a Flower mod that filters every reply of the ClientApp by the site's own file."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict

from federated.client.site import SITE_FILE, site_of
from federated.client.work import learner_for, rows_of
from federated.kit.federation_file import MayLeave
from federated.kit.site_file import SiteFile
from federated.messages.questions import Asked
from federated.messages.records import (
    ANSWER,
    ARRAYS,
    ASK,
    CLIENT,
    CLIENT_ID,
    ERROR,
    METRICS,
    NUM_EXAMPLES,
    NUM_PARTITIONS,
    NUM_VAL,
    POINTS,
    PROFILE,
    SCHEMA,
    STATISTICS,
    TrainOrder,
    error_content,
)
from federated.messages.wire import Layout, ModelLayout, fits, layout_of
from federated.strategy.base import load_algorithm
from shared.config.stored import read_snapshot
from shared.data.profile import Profile
from shared.runtime.errors import FederationError

_COLUMNS = ("stages", "names", "values", "epochs", "counts")
_DESCRIPTION = (CLIENT_ID, NUM_PARTITIONS, "name", SCHEMA, NUM_EXAMPLES, PROFILE, NUM_VAL)

Call = Callable[[Message, Context], Message]


class RowsKept(FederationError):
    """A site lets no single row out."""


def egress_filter(message: Message, context: Context, call_next: Call) -> Message:
    """Let out of a reply what the site's file lists, and nothing that is not known.

    A node without a site's file (a simulated one) is left alone. An error that nobody foresaw becomes a
    sentence: its own text may hold a file's name, and so a patient's.
    """
    if SITE_FILE not in context.node_config:
        return call_next(message, context)
    try:
        site = site_of(context)
        assert site is not None
        reply = call_next(message, context)
        content = None
        if reply.has_content():
            declared = Declared()
            if reply.content.array_records:
                declared = _declared(message, site)
            elif STATISTICS in reply.content.config_records:
                declared = Declared(told=_told(message, context))
            content = filter_content(reply.content, site.may_leave, declared=declared)
    except RowsKept as error:
        return Message(error_content(error), reply_to=message)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)  # this is the site's own log
        reason = f"{type(error).__name__} at this site; the log of its node says more"
        return Message(error_content(FederationError(reason)), reply_to=message)
    return reply if content is None else Message(content, reply_to=message)


@dataclass(frozen=True)
class Declared:
    """What an algorithm lets leave a client.

    Attributes
    ----------
    records : mapping of str to Layout
        The records of arrays, by name; every array must be like one that is listed there.
    metrics : collection of str
        Names of metrics.
    told : collection of str or None
        Names of the metrics that follow from the task's statistics; None where none may leave.
    """

    records: Mapping[str, Layout] = field(default_factory=dict)
    metrics: Collection[str] = ()
    told: Collection[str] | None = None


def filter_content(content: RecordDict, allowed: MayLeave, *, declared: Declared = Declared()) -> RecordDict:
    """A copy of a reply's content with only what may leave.

    Returns
    -------
    RecordDict
        Of the arrays and other known records what is declared or allowed; unknown ones not at all.

    Raises
    ------
    FederationError
        An array is not like that of the model, or not what was asked for.
    """
    kept = RecordDict()
    for name, arrays in content.array_records.items():
        if name in declared.records:
            kept[name] = _as_declared(arrays, name=name, layout=declared.records[name])
    if METRICS in content.metric_records:
        kept[METRICS] = MetricRecord({NUM_EXAMPLES: content.metric_records[METRICS][NUM_EXAMPLES]})
    for name, record in content.config_records.items():
        if name == POINTS:
            kept[name] = _points(record, {*allowed.metrics, *declared.metrics})
        elif name == CLIENT:
            kept[name] = _description(record, allowed)
        elif name == ERROR or (name == STATISTICS and _statistics_allowed(allowed, declared.told)):
            kept[name] = record
    return kept


def _statistics_allowed(allowed: MayLeave, told: Collection[str] | None) -> bool:
    # Every validation metric follows from them, so a name that is not listed keeps them here too.
    return told is not None and "statistics" in allowed.counts and {*told} <= {*allowed.metrics}


def _told(message: Message, context: Context) -> tuple[str, ...]:
    snapshot = TrainOrder.from_message(message).snapshot
    return learner_for(snapshot, context).spec(rows_of(snapshot, context)[0].schema).names


def _declared(message: Message, site: SiteFile) -> Declared:
    kind = message.metadata.message_type
    if kind not in (MessageType.TRAIN, ASK):
        return Declared()  # no other reply has arrays
    snapshot = TrainOrder.from_message(message).snapshot
    algorithm = load_algorithm(read_snapshot(json.loads(snapshot)).strategy, may_run=site.may_run)
    if kind == ASK:
        asked = Asked.from_message(message)
        if algorithm.tells_rows(asked) and not site.may_leave.rows:
            raise RowsKept(
                "this site lets no training row out, and clusters start with rows; ask it (may_leave.rows in "
                "site.yaml)"
            )
        return Declared(records={ANSWER: algorithm.answers(asked)})
    wire, sent = algorithm.wire, message.content.array_records[ARRAYS]
    model = ModelLayout.of(sent, trained=list(sent))  # which arrays are trained, the server checks
    return Declared(records=wire.reply(model), metrics=wire.metrics)


def _as_declared(arrays: ArrayRecord, *, name: str, layout: Layout) -> ArrayRecord:
    for key, (shape, dtype) in layout_of(arrays).items():
        expected, kind = layout.get(key, ((), ""))
        if kind != dtype or not fits(shape, expected):
            raise FederationError(f"the array {key} of {name} is not like one that is expected")
    return arrays


def _points(record: ConfigRecord, allowed: Collection[str]) -> ConfigRecord:
    names = cast("list[str]", record["names"])
    places = [place for place, name in enumerate(names) if name in allowed]
    columns = {column: [cast("list[float]", record[column])[place] for place in places] for column in _COLUMNS}
    return ConfigRecord(columns)  # type: ignore[arg-type]


def _description(record: ConfigRecord, allowed: MayLeave) -> ConfigRecord:
    kept = ConfigRecord({key: record[key] for key in _DESCRIPTION})
    profile = Profile.from_json(cast(str, record[PROFILE]))
    parts = (("label_counts", "counts"), ("spans", "spans"), ("missing", "missing"), ("moments", "moments"))
    withheld: dict[str, Any] = {part: {} for count, part in parts if count not in allowed.counts}
    kept[PROFILE] = replace(profile, **withheld).to_json()
    if "num_val" not in allowed.counts:
        kept[NUM_VAL] = 0  # and so the server does not ask this site to evaluate
    return kept
