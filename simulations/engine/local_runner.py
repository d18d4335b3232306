"""`LocalRunner`: the `Runner` on worker processes of this machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flwr.serverapp import Grid

from federated.launch.launch import prepare_run
from federated.server.app import serve
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.progress import NOBODY, Follower
from shared.tracking.store import Store


@dataclass(frozen=True)
class LocalRunner:
    """Runs the ServerApp in this process, on a grid such as `ProcessPoolGrid`."""

    grid: Grid

    def federate(
        self,
        cfg: Config,
        *,
        store: Store,
        home: Home,
        resume: bool = False,
        follow: Follower = NOBODY,
    ) -> int:
        """See `simulations.runner.Runner`."""
        logging.getLogger("flwr").setLevel(logging.WARNING)
        run_id = cfg.tracking.run_id or prepare_run(cfg, store=store)
        cfg = cfg.replace("tracking", run_id=run_id)
        return serve(
            self.grid,
            cfg,
            store=store,
            home=home,
            resume=resume,
            say=follow.say,
            closed=lambda line: follow.poll(run_id),
            replied=follow.step,
        )
