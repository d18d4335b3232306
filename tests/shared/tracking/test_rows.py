"""Rows as JSON."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from shared.tracking.rows import MetricRow, json_ready


def test_as_dict_is_json():
    noon = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2)))
    row = MetricRow(5, 1, None, 0, None, "val", "loss", math.inf, 3, noon)
    assert json.loads(json.dumps(row.as_dict(), allow_nan=False)) == {
        "id": 5,
        "run_id": 1,
        "client_id": None,
        "round": 0,
        "epoch": None,
        "stage": "val",
        "name": "loss",
        "value": None,
        "num_examples": 3,
        "time": "2026-01-02T10:00:00+00:00",
    }


def test_json_ready():
    given = {
        1: (np.float32(0.5), np.int64(3), np.array([[1, 2]])),
        "x": {"y": [math.nan, True, None, Path("a/b")]},
    }
    assert json_ready(given) == {"1": [0.5, 3, [[1, 2]]], "x": {"y": [None, True, None, "a/b"]}}
    assert json_ready(np.float64("nan")) is None
    assert json_ready({2}) == [2]
