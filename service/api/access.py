"""The REST route that says what a request may do; the page asks which controls to show."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from service.access import access_of
from service.problem_details import AsciiJson
from service.read.schemas import Shape

router = APIRouter(tags=["access"])


class CallerAccess(Shape):
    """What the caller may do."""

    scope: Literal["read", "train", "admin"]
    tenant: str
    who: str = Field(description="Which token, not what it is.", examples=["token 3 (ci)"])


@router.get("/access", response_model=CallerAccess)
def access(request: Request) -> AsciiJson:
    """Which scope and tenant the caller's token has."""
    found = access_of(request)
    return AsciiJson({"scope": found.scope, "tenant": found.tenant.name, "who": found.who})
