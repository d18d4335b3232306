"""Problem details (RFC 9457): the JSON body of every error response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class AsciiJson(JSONResponse):
    """JSON in ASCII: any stored text can be encoded, lone surrogates included."""

    def render(self, content: Any) -> bytes:
        """Encode.

        Parameters
        ----------
        content : Any
            In JSON's types, without NaN.
        """
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def problem_response(
    status: int,
    *,
    detail: str,
    instance: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> AsciiJson:
    """An error response.

    Parameters
    ----------
    detail : str
        What went wrong and how to correct it; nothing internal to the server.
    instance : str
        Path of the request.
    more : mapping, optional
        Extension members: a stable ``code`` for programs, and what belongs to it.
    """
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        **(more or {}),
    }
    return AsciiJson(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
