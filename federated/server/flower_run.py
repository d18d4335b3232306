"""What ``flwr run`` hands to the ServerApp: a run's settings, and the home that it is to be written to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.config.compose import compose
from shared.config.config import Config
from shared.config.no_effect import reject_unused
from shared.config.stored import read_snapshot
from shared.runtime.errors import ConfigError, FederationError
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tasks.reading import fix_rows
from shared.tasks.settle import settle
from shared.tracking.store import Store

_CLIENTS = "federation.num_clients="


def settings_of(
    run_config: Mapping[str, Any], *, store: Store, home: Home, num_nodes: Callable[[], int]
) -> Config:
    """The settings of a run.

    Parameters
    ----------
    run_config : mapping
        ``overrides``; or the ``run-id`` of a row that was made beforehand in the home ``home``.
    home : Home
        Of the SuperLink's environment, which every process of the run has.
    num_nodes : callable
        Counts Flower's nodes, which are the clients where nothing else is said.

    Raises
    ------
    ConfigError
        An override has no effect, or names another home than the SuperLink's.
    FederationError
        The row is in another home than the SuperLink's.
    TrackingError
        There is no such row.
    """
    run_id = int(run_config.get("run-id", 0))
    if run_id:
        wanted = str(run_config.get("home", ""))
        if wanted and Path(wanted).resolve() != home.root.resolve():
            raise FederationError(
                f"run {run_id} is in {wanted}, but this SuperLink was started with FEDTWIN_HOME={home.root}, "
                "whose database has other runs; start the SuperLink and the run with the same FEDTWIN_HOME"
            )
        return read_snapshot(store.runs.get(run_id).config).replace("tracking", run_id=run_id)
    overrides = settle(shlex.split(str(run_config.get("overrides", ""))))
    if "federation.engine=local" in overrides:
        raise ConfigError("federation.engine=local has no effect on flwr run; use fedtwin simulate")
    cfg = compose(overrides).replace("federation", engine="flower")
    reject_unused(overrides, cfg, command="flwr run")
    _check_home(cfg, home)
    preset = cfg.federation.num_clients != compose().federation.num_clients
    if not preset and not any(text.lstrip("+").startswith(_CLIENTS) for text in overrides):
        cfg = cfg.replace("federation", num_clients=max(1, num_nodes()))
    return fix_rows(cfg, cache=home.cache)


def first_line(run_id: int, home: Home) -> str:
    """What the log of a run begins with: which run, and where it is written."""
    return f"run {run_id}  home {home.root}  database {without_secrets(home.database_url)}"


def _check_home(cfg: Config, home: Home) -> None:
    named = cfg.tracking.home
    if named is not None and Path(named).expanduser().resolve() != home.root.resolve():
        raise ConfigError(
            f"tracking.home={named}, but this SuperLink was started with FEDTWIN_HOME={home.root}, where "
            f"all of its runs are written; start one with FEDTWIN_HOME={named}, or leave tracking.home out"
        )
    url = cfg.tracking.database_url
    if url is not None and url != home.database_url:
        raise ConfigError(
            "tracking.database_url is another database than the SuperLink's, where all of its runs are "
            "written; start a SuperLink with FEDTWIN_DATABASE_URL, or leave tracking.database_url out"
        )
