"""`federate`: one federated run with the engine of its config, our own processes or Flower's simulation."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from federated.launch.capacity import capacity
from federated.launch.launch import launch, prepare_run
from federated.strategy.base import load_algorithm
from shared.config.config import Config
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.process_pool import LocalEngine


@contextmanager
def open_engine(cfg: Config) -> Iterator[LocalEngine | None]:
    """Start the workers of ``federation.engine=local``, and end them with the block.

    To be called before a database or a progress bar is opened: the workers are forked from this process.

    Yields
    ------
    LocalEngine or None
        None for Flower's engine, which has processes of its own.
    """
    load_algorithm(cfg.strategy)  # its settings may be wrong; and what is imported now, workers need not import
    if cfg.federation.engine == "flower":
        yield None
        return
    if cfg.federation.ray_address is not None:
        raise ConfigError(
            f"federation.ray_address={cfg.federation.ray_address} needs federation.engine=flower, or "
            "`fedtwin federated`: the local engine does not use Ray"
        )
    allowed = capacity(cfg)
    print(allowed.describe(), file=sys.stderr)
    with LocalEngine(num_clients=cfg.federation.num_clients, workers=allowed.at_once) as engine:
        yield engine


def federate(
    cfg: Config,
    *,
    engine: LocalEngine | None,
    store: Store,
    home: Home,
    resume_run: int | None = None,
    on_poll: Callable[[int], None] = lambda run_id: None,
) -> int:
    """Train federated, to the end.

    Parameters
    ----------
    engine : LocalEngine or None
        From `open_engine`.
    resume_run : int, optional
        A run that goes on after its last complete round.
    on_poll : callable
        Called with the run's id from time to time, to show progress.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        The run row says why, too.
    """
    if engine is None:
        return launch(cfg, store=store, home=home, resume_run=resume_run, on_poll=on_poll)
    from federated.server.app import serve

    logging.getLogger("flwr").setLevel(logging.WARNING)
    run_id = prepare_run(cfg, store=store) if resume_run is None else resume_run
    cfg = cfg.replace("tracking", run_id=run_id)
    return serve(
        engine, cfg, store=store, home=home, resume=resume_run is not None, say=lambda line: on_poll(run_id)
    )
