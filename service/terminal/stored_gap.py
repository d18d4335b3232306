"""`read_gap`: the gap of a finished comparison, from the server's REST API."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException

from shared.metrics.gap import GapRow, stored_gap


def read_gap(server: str, run_id: int, *, token: str | None, timeout_s: float = 5.0) -> list[GapRow]:
    """The rows of the gap table; empty where none was measured, or the server no longer answers.

    Parameters
    ----------
    server : str
        Base URL.
    timeout_s : float, seconds
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{server.rstrip('/')}/api/runs/{run_id}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return stored_gap(json.load(answer)["summary"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return []
