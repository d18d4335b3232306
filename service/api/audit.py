"""The REST route of the audit log, for who may administer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query

from service.api.dependencies import StoreDep
from service.api.writing import AdminRoute, training_router
from service.problem_details import AsciiJson
from service.read.schemas import Shape
from shared.tracking.schema import LARGEST_ID

router = training_router("access", route=AdminRoute)


class AuditEntry(Shape):
    """A request that asked for a change."""

    id: int
    time: datetime
    who: str
    address: str
    action: str
    status: int


class AuditLog(Shape):
    """A page of the audit log."""

    entries: list[AuditEntry]
    next: int | None


@router.get("/audit", response_model=AuditLog)
def audit(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List requests that asked for a change, and how they were answered, newest first."""
    found = store.audit.search(before=before, limit=limit + 1)
    page = found[:limit]
    entries = [{name: value for name, value in row.as_dict().items() if name != "tenant"} for row in page]
    return AsciiJson({"entries": entries, "next": page[-1].id if len(found) > limit else None})
