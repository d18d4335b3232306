"""`execute` and `resume`: one training of any mode, behind the command line and the Python API."""

from __future__ import annotations

from typing import Literal

from shared.config.config import Config
from shared.config.stored import read_snapshot
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.runtime.notebook import in_notebook
from shared.tasks.checks import reject_pooled_only
from shared.tracking.progress import open_board
from shared.tracking.store import Store
from simulations.twin_settings import reject_one_sided

Mode = Literal["centralized", "federated", "compare"]


def execute(
    cfg: Config,
    mode: Mode,
    *,
    store: Store,
    home: Home,
    run_id: int | None = None,
    command: str = "fedtwin compare",
) -> int:
    """Train as configured, to the end, as one tracked run.

    Parameters
    ----------
    run_id : int, optional
        An existing run: a pending one is claimed, one that has ended is resumed from its last completed epoch
        or round (a comparison cannot be). Without it, that in ``tracking.run_id``, or else a new one.
    command : str
        What was typed, for the report of a comparison.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        What the user can mend; the run ends as failed.
    KeyboardInterrupt
        Ctrl-C or SIGTERM; the run ends as stopped.
    """
    resume = False
    if run_id is not None:
        cfg = cfg.replace("tracking", run_id=run_id)
        resume = store.runs.get(run_id).finished
    if mode == "centralized":
        return _train(cfg, store=store, home=home, resume=resume)
    if not resume:
        reject_pooled_only(cfg)
    if mode == "compare":
        reject_one_sided(cfg)
    from simulations.runner import open_runner  # what trains takes a second to import

    if mode == "compare" or cfg.federation.engine == "local":  # Flower's ServerApp does so itself
        import shared.runtime.fast_imports  # noqa: F401  # before what it imports

        from federated.strategy.base import load_algorithm

        load_algorithm(cfg.strategy)  # its settings are checked before anything is trained
    with open_runner(cfg, home=home) as runner:
        if mode == "compare":
            from simulations.compare import compare

            return compare(cfg, runner=runner, store=store, home=home, command=command)
        with open_board(enabled=cfg.trainer.progress) as board:
            follow = board.follow_rounds(store, "federated", total=cfg.federation.num_rounds)
            return runner.federate(cfg, store=store, home=home, resume=resume, on_poll=follow)


def resume(run_id: int, *, store: Store, home: Home) -> int:
    """Resume an interrupted run, with the settings that it was started with.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    TrackingError
        There is no such run, or it is completed, still running, or of a mode that cannot be resumed.
    FedtwinError
        As for `execute`.
    """
    run = store.runs.get(run_id)
    if run.status == "completed":
        raise TrackingError(f"run {run.id} is already complete; nothing to resume")
    if not run.finished:
        raise TrackingError(f"run {run.id} is still {run.status} (process {run.pid} on {run.host})")
    if run.training_mode not in ("centralized", "federated"):
        raise TrackingError(
            f"run {run.id} is a {run.training_mode} run; only pooled and federated runs can be resumed"
        )
    mode: Mode = "federated" if run.training_mode == "federated" else "centralized"
    cfg = read_snapshot(run.config).replace("tracking", home=str(home.root), database_url=home.database_url)
    return execute(cfg, mode, store=store, home=home, run_id=run.id)


def _train(cfg: Config, *, store: Store, home: Home, resume: bool) -> int:
    from centralized.train import train

    if not in_notebook():  # Lightning's own bar shows batches too
        return train(cfg, store=store, home=home, resume=resume)
    with open_board(enabled=cfg.trainer.progress) as board:
        on_epoch = board.task("pooled", total=cfg.trainer.max_epochs)
        return train(cfg, store=store, home=home, resume=resume, on_epoch=on_epoch)
