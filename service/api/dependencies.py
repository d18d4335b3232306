"""FastAPI dependencies of the REST routes: the store, the home, and the run named in the path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.api.problems import Problem
from shared.runtime.home import Home
from shared.tracking.rows import RunRow
from shared.tracking.schema import LARGEST_ID
from shared.tracking.store import Store


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _home(request: Request) -> Home:
    home: Home = request.app.state.settings.home
    return home


StoreDep = Annotated[Store, Depends(_store)]
HomeDep = Annotated[Home, Depends(_home)]


def _run(store: StoreDep, run_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> RunRow:
    return get_run(store, run_id)


RunDep = Annotated[RunRow, Depends(_run)]


def get_run(store: Store, run_id: int) -> RunRow:
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
