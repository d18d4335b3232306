"""What may leave a site: a Flower mod that filters every reply of the ClientApp by the site's own file."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import cast

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict

from federated.kit.federation_file import MayLeave
from federated.kit.site_file import read_site
from federated.messages.records import (
    ARRAYS,
    CLIENT,
    CLIENT_ID,
    ERROR,
    LABEL_COUNTS,
    METRICS,
    NUM_EXAMPLES,
    NUM_PARTITIONS,
    NUM_VAL,
    POINTS,
    THRESHOLDS,
    error_content,
)
from shared.runtime.errors import FederationError

SITE_FILE = "site-file"  # of the node config: the path of the site's own file
_COLUMNS = ("stages", "names", "values", "epochs", "counts")
_DESCRIPTION = (CLIENT_ID, NUM_PARTITIONS, "name", "classes", NUM_EXAMPLES, LABEL_COUNTS, NUM_VAL)

Call = Callable[[Message, Context], Message]


def egress_filter(message: Message, context: Context, call_next: Call) -> Message:
    """Let out of a reply what the site's file lists, and nothing that is not known.

    A node without a site's file (a simulated one) is left alone. An error that nobody foresaw becomes a
    sentence: its own text may hold a file's name, and so a patient's.
    """
    path = context.node_config.get(SITE_FILE)
    if path is None:
        return call_next(message, context)
    try:
        allowed = _may_leave(str(path), Path(str(path)).stat().st_mtime_ns)
        reply = call_next(message, context)
        content = filter_content(reply.content, allowed) if reply.has_content() else None
    except Exception as error:
        traceback.print_exc(file=sys.stderr)  # this is the site's own log
        reason = f"{type(error).__name__} at this site; the log of its node says more"
        return Message(error_content(FederationError(reason)), reply_to=message)
    return reply if content is None else Message(content, reply_to=message)


def filter_content(content: RecordDict, allowed: MayLeave) -> RecordDict:
    """A copy of a reply's content with only what may leave.

    Returns
    -------
    RecordDict
        The model's arrays whole; of the other known records what is allowed; unknown ones not at all.
    """
    kept = RecordDict()
    for name, arrays in content.array_records.items():
        if name == ARRAYS:
            kept[name] = arrays
    if METRICS in content.metric_records:
        kept[METRICS] = MetricRecord({NUM_EXAMPLES: content.metric_records[METRICS][NUM_EXAMPLES]})
    for name, record in content.config_records.items():
        if name == POINTS:
            kept[name] = _points(record, allowed)
        elif name == CLIENT:
            kept[name] = _description(record, allowed)
        elif name == ERROR or (name == THRESHOLDS and "thresholds" in allowed.counts):
            kept[name] = record
    return kept


def _points(record: ConfigRecord, allowed: MayLeave) -> ConfigRecord:
    names = cast("list[str]", record["names"])
    places = [place for place, name in enumerate(names) if name in allowed.metrics]
    columns = {column: [cast("list[float]", record[column])[place] for place in places] for column in _COLUMNS}
    return ConfigRecord(columns)  # type: ignore[arg-type]


def _description(record: ConfigRecord, allowed: MayLeave) -> ConfigRecord:
    kept = ConfigRecord({key: record[key] for key in _DESCRIPTION})
    if "label_counts" not in allowed.counts:
        kept[LABEL_COUNTS] = cast("list[int]", [])
    if "num_val" not in allowed.counts:
        kept[NUM_VAL] = 0  # and so the server does not ask this site to evaluate
    return kept


@lru_cache(maxsize=2)
def _may_leave(path: str, changed: int) -> MayLeave:
    return read_site(Path(path)).may_leave
