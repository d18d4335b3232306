"""Rows become messages, each row in one of them; and the published schema is that of the code."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import jsonschema
import pytest

from service.stream import messages
from service.stream.encode import (
    ROWS_PER_MESSAGE,
    encode_end,
    encode_heartbeat,
    encode_rows,
    encode_run_deleted,
    encode_run_status,
    encode_training_mode,
)
from service.stream.messages import stream_schema, to_frame, to_json
from shared.tracking.rows import MetricRow, RoundRow, ServerEvaluationRow
from tests.profiles import stored
from tests.service.live_kit import NOON

SCHEMA = Path(messages.__file__).with_name("stream.schema.json")


@pytest.fixture
def row():
    ids = count(1)

    def make(*, stage: str = "val", value: float = 0.5, client_id=None, round=None, epoch=None) -> MetricRow:
        return MetricRow(next(ids), 3, client_id, round, epoch, stage, "accuracy", value, 10, NOON)

    return make


def record(number: int) -> RoundRow:
    return RoundRow(3, number, NOON, NOON, [0, 1], [0], {1: "late"}, 100, 90, 1.5)


def evaluation(number: int) -> ServerEvaluationRow:
    return ServerEvaluationRow(3, number, math.nan, {"accuracy": 0.5, "auroc": math.nan}, None, *[None] * 4, 10)


def summary(**changes) -> dict:
    known = {
        "id": 3,
        "name": "digits",
        "tags": ["first"],
        "description": "",
        "training_mode": "federated",
        "status": "completed",
        "seed": 1,
        "parent_id": None,
        "sweep_id": None,
        "client_name": None,
        "started": "2026-01-02T12:00:00+00:00",
        "ended": None,
        "seconds": 3.5,
        "error": None,
        "stop_reason": None,
        "host": "here",
        "data": "digits",
        "model": "cnn",
        "strategy": "fedavg",
        "progress": {"unit": "round", "done": 1, "total": 3},
        "planned_runs": None,
        "monitor": {"key": "val/accuracy", "mode": "max"},
        "best": None,
        "gap": None,
        "sparkline": [],
        "last_event": None,
    }
    return {**known, **changes}


def told(rows, *, federated: bool = True, **more) -> list[dict]:
    found = encode_rows(rows, run_id=3, federated=federated, **more)
    decoded = json.loads(to_frame(map(to_json, found)))
    if decoded:
        jsonschema.validate(decoded, stream_schema())
    assert [one["id"] for message in decoded for one in message["rows"]] == [one.id for one in rows]
    for message in decoded:
        assert message["cursor"] == (message["rows"][-1]["id"] if message["rows"] else None)
    return decoded


def shown(found: list[dict], *keys: str) -> list[tuple]:
    return [tuple(message.get(key) for key in ("type", *keys)) for message in found]


class TestRows:
    def test_of_a_federated_round(self, row):
        rows = [
            row(client_id=0, round=1, epoch=1, stage="train"),
            row(client_id=0, round=1, epoch=2, stage="train"),
            row(client_id=1, round=1, stage="train"),
            row(round=1, stage="train"),
            row(client_id=0, round=1),
            row(round=1),
            row(round=1),
            row(round=1, stage="test"),
            row(stage="test"),
        ]
        found = told(rows)
        assert shown(found, "round", "client_id", "stage", "cursor") == [
            ("client_metrics", 1, 0, "train", 2),
            ("client_metrics", 1, 1, "train", 3),
            ("round_metrics", 1, None, None, 4),
            ("client_metrics", 1, 0, "val", 5),
            ("round_metrics", 1, None, None, 7),
            ("server_evaluation", 1, None, None, 8),
            ("server_evaluation", None, None, None, 9),
        ]

    def test_of_epochs(self, row):
        rows = [row(epoch=1, stage="train"), row(epoch=1), row(epoch=1), row(epoch=2), row(stage="test")]
        assert shown(told(rows, federated=False), "epoch", "stage", "cursor") == [
            ("epoch_end", 1, "train", 1),
            ("epoch_end", 1, "val", 3),
            ("epoch_end", 2, "val", 4),
            ("server_evaluation", None, None, 5),
        ]

    def test_many_of_one_kind_are_divided(self, row):
        found = told([row(client_id=0, round=1) for _ in range(2 * ROWS_PER_MESSAGE + 1)])
        assert [len(message["rows"]) for message in found] == [ROWS_PER_MESSAGE, ROWS_PER_MESSAGE, 1]

    def test_none(self):
        assert told([]) == []

    @pytest.mark.parametrize(
        ("value", "sent"),
        [
            (math.nan, (None, "nan")),
            (math.inf, (None, "inf")),
            (-math.inf, (None, "-inf")),
            (0.1, (0.1, None)),
            (1e308, (1e308, None)),
        ],
    )
    def test_values(self, row, value, sent):
        ((found,),) = [message["rows"] for message in told([row(value=value, round=1)])]
        assert (found["value"], found.get("not_finite")) == sent
        assert ("not_finite" in found) == (found["value"] is None)


class TestRounds:
    def test_come_before_rows_of_later_rounds(self, row):
        rows = [row(round=1), row(round=2, client_id=0), row(round=4), row(stage="test")]
        found = told(rows, rounds=[record(4), record(2), record(1)], evaluations=[evaluation(1), evaluation(4)])
        assert [
            (one["round"], bool(one["rows"]), bool(one.get("record")), bool(one.get("evaluation")))
            for one in found
        ] == [
            (1, True, False, False),
            (1, False, False, True),
            (1, False, True, False),
            (2, True, False, False),
            (2, False, True, False),
            (4, True, False, False),
            (4, False, False, True),
            (4, False, True, False),
            (None, True, False, False),
        ]

    def test_an_evaluation_comes_after_its_rows_in_a_message_of_its_own(self, row):
        rows, found = told([row(round=0, stage="test")], evaluations=[evaluation(0)])
        assert (rows["type"], len(rows["rows"]), rows["evaluation"]) == ("server_evaluation", 1, None)
        assert (found["type"], found["rows"]) == ("server_evaluation", [])
        assert found["evaluation"]["loss"] is None
        assert found["evaluation"]["metrics"] == {"accuracy": 0.5, "auroc": None}
        assert found["evaluation"]["not_finite"] == {"loss": "nan", "auroc": "nan"}

    def test_without_rows(self):
        (found,) = told([], rounds=[record(3)])
        assert (found["type"], found["round"], found["rows"]) == ("round_metrics", 3, [])
        assert (found["record"]["failed"], found["record"]["seconds"]) == ({"1": "late"}, 1.5)


class TestEnding:
    @pytest.mark.parametrize(
        ("changes", "kinds"),
        [
            ({"status": "running"}, []),
            ({"status": "pending"}, []),
            ({"status": "completed"}, ["training_end"]),
            ({"status": "completed", "stop_reason": "no progress"}, ["early_stopping", "training_end"]),
            ({"status": "stopped", "stop_reason": "interrupted by the user"}, ["training_end"]),
            ({"status": "failed", "error": "why"}, ["error", "training_end"]),
        ],
    )
    def test_of_a_run(self, changes, kinds):
        assert [message.type for message in encode_end(summary(**changes))] == kinds

    def test_is_of_the_time_when_the_run_ended(self):
        past = summary(stop_reason="no progress", error="why", ended="2026-01-02T12:00:09+00:00")
        assert {message.time for message in encode_end(past)} == {datetime(2026, 1, 2, 12, 0, 9, tzinfo=UTC)}


class TestSchema:
    def test_the_file_is_that_of_the_code(self):
        assert json.loads(SCHEMA.read_text()) == stream_schema(), (
            "write it anew: python -m service.stream.messages > service/stream/stream.schema.json"
        )

    def test_holds_for_every_type_of_message(self, row):
        client = {"client_id": 0, "node_id": "7", "name": "north", "num_examples": 3, "profile": stored(1, 2)}
        found = [
            encode_training_mode(summary(), [client]),
            *encode_rows([row(epoch=1)], run_id=3, federated=False),
            *encode_rows(
                [row(round=1, client_id=0), row(round=1), row(round=1, stage="test")], run_id=3, federated=True
            ),
            *encode_end(summary(stop_reason="no progress", error="why")),
            encode_heartbeat(3, reachable=False),
            encode_run_status(summary()),
            encode_run_deleted(3),
        ]
        sent = json.loads(to_frame(map(to_json, found)))
        jsonschema.validate(sent, stream_schema())
        assert {message["type"] for message in sent} == set(
            stream_schema()["items"]["discriminator"]["mapping"]
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            [{"type": "heartbeat"}],
            [{"type": "unknown", "run_id": 1, "cursor": None, "time": "2026-01-02T12:00:00Z"}],
            {"type": "heartbeat", "run_id": 1, "cursor": None, "time": "2026-01-02T12:00:00Z"},
        ],
    )
    def test_refuses_what_is_no_frame(self, wrong):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, stream_schema())
