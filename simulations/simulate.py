"""`federate`: runs one federated training with a pool of processes or with Flower's simulation."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from federated.launch.capacity import capacity
from federated.launch.launch import launch, prepare_run
from shared.config.config import Config
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.process_pool import ProcessPoolGrid


@contextmanager
def open_engine(cfg: Config) -> Iterator[ProcessPoolGrid | None]:
    """Start the workers of ``federation.engine=local`` for the duration of a block.

    Call it before opening a database or a progress bar: the workers are forked from this process.

    Yields
    ------
    ProcessPoolGrid or None
        None for Flower's engine, which manages its own processes.
    """
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
    with ProcessPoolGrid(num_clients=cfg.federation.num_clients, workers=allowed.at_once) as engine:
        yield engine


def federate(
    cfg: Config,
    *,
    engine: ProcessPoolGrid | None,
    store: Store,
    home: Home,
    resume_run: int | None = None,
    on_poll: Callable[[int], None] = lambda run_id: None,
) -> int:
    """Run a federated training to its end.

    Parameters
    ----------
    engine : ProcessPoolGrid or None
        From `open_engine`.
    resume_run : int, optional
        Run to resume after its last complete round.
    on_poll : callable
        Called periodically with the run's id, to show progress.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        Also stored in the run row.
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
