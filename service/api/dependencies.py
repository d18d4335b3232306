"""What the routes of the REST API take from the app and the address: the store, the home and the run."""

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


StoreOf = Annotated[Store, Depends(_store)]
HomeOf = Annotated[Home, Depends(_home)]


def _run(store: StoreOf, run_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> RunRow:
    return known_run(store, run_id)


RunOf = Annotated[RunRow, Depends(_run)]


def known_run(store: Store, run_id: int) -> RunRow:
    """A run that somebody asked for.

    Raises
    ------
    Problem
        404: there is no such run.
    """
    run = store.runs.find(run_id)
    if run is None:
        raise Problem(404, f"there is no run {run_id}")
    return run
