"""`Runner`: where the clients of a federated run are; `open_runner` chooses it by the configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from shared.config.config import Config
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.runtime.notebook import in_notebook
from shared.tracking.progress import NOBODY, Follower
from shared.tracking.store import Store


class Runner(Protocol):
    """Trains federated: on processes of this machine, in Flower's simulation, or among real sites."""

    def federate(
        self,
        cfg: Config,
        *,
        store: Store,
        home: Home,
        resume: bool = False,
        follow: Follower = NOBODY,
    ) -> int:
        """Train to the end.

        Parameters
        ----------
        cfg : Config
            With ``tracking.run_id`` set, that run is claimed instead of a new one.
        resume : bool
            Resume the run in ``tracking.run_id`` from its last completed round.
        follow : Follower
            Shows the progress.

        Returns
        -------
        int
            The run's id; it is completed.

        Raises
        ------
        FedtwinError
            The run's row holds the reason too.
        """
        ...


@contextmanager
def open_runner(cfg: Config, *, home: Home, alone: bool = False) -> Iterator[Runner]:
    """Start what federated runs of this configuration need, and end it with the block.

    To be called before a progress display is opened: worker processes are forked from this one, which is only
    safe while it has no other threads.

    Parameters
    ----------
    alone : bool
        Start no processes: the clients of the local engine train in this one, one after another, with the same
        results.

    Raises
    ------
    ConfigError
    FedtwinError
        The SuperLink of a deployment, or the Ray cluster, does not answer.
    """
    if cfg.federation.engine == "flower":
        from federated.launch.superlink_runner import DEPLOYMENT, SIMULATION, check_reachable

        check_reachable(cfg)
        yield SIMULATION if cfg.federation.kit is None else DEPLOYMENT
        return
    if cfg.federation.ray_address is not None:
        raise ConfigError(
            f"federation.ray_address={cfg.federation.ray_address} needs federation.engine=flower, or "
            "`fedtwin federated`: the local engine does not use Ray"
        )
    from federated.launch.capacity import capacity
    from shared.tasks.task import learner_of
    from simulations.engine.local_runner import LocalRunner
    from simulations.engine.process_pool import CLIENT_APP, ProcessPoolGrid

    learner_of(cfg)  # what it imports, the workers that are forked from this process share
    if alone:
        from simulations.engine.in_process import InProcessGrid
        from simulations.engine.worker import load_app

        yield LocalRunner(InProcessGrid(load_app(CLIENT_APP), num_clients=cfg.federation.num_clients))
        return
    allowed = capacity(cfg)
    print(allowed.describe(), file=sys.stdout if in_notebook() else sys.stderr)  # the latter is red there
    with ProcessPoolGrid(
        num_clients=cfg.federation.num_clients, workers=allowed.at_once, home=home.root
    ) as grid:
        yield LocalRunner(grid)
