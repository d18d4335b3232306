"""FastAPI dependencies of the REST routes: the store of a tenant, the home, and the run of the path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.access import access_of
from service.api.problems import Problem
from service.read.shown import Shown
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.schema import LARGEST_ID
from shared.tracking.store import Store, TenantStore
from shared.tracking.tenants import DEFAULT


def _store(request: Request) -> TenantStore:
    store: Store = request.app.state.store
    return store.of(access_of(request).tenant)


def _home(request: Request) -> Home:
    home: Home = request.app.state.settings.home
    return home


def _shown(request: Request) -> Shown:
    settings, store = request.app.state.settings, request.app.state.store
    may = access_of(request).may("admin")
    return Shown(may, settings.home, folders=settings.data_folders, database=store.database.shown)


StoreDep = Annotated[TenantStore, Depends(_store)]
HomeDep = Annotated[Home, Depends(_home)]
ShownDep = Annotated[Shown, Depends(_shown)]


def _run(store: StoreDep, run_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> RunRow:
    return get_run(store, run_id)


def of_default_tenant(request: Request) -> None:
    """Reject other tenants, for what is about all of them.

    Raises
    ------
    Problem
        403.
    """
    if access_of(request).tenant != DEFAULT:
        raise Problem(403, "figures of the whole server are for the default tenant", code="tenant")


RunDep = Annotated[RunRow, Depends(_run)]


def get_run(store: TenantStore, run_id: int) -> RunRow:
    """Load a run.

    Raises
    ------
    Problem
        404: no such run.
    """
    run = store.runs.find(run_id)
    if run is None:
        raise Problem(404, f"there is no run {run_id}")
    return run
