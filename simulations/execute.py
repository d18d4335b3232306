"""`execute`: one training of any mode, behind the command line and the Python API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from shared.config.config import Config
from shared.config.model import REGISTRY
from shared.runtime.home import Home
from shared.runtime.notebook import in_notebook
from shared.runtime.waiting import is_live, waiting
from shared.tasks.checks import reject_one_sided, reject_pooled_only, reject_untested
from shared.tasks.reading import fix_rows
from shared.tracking.progress import open_board
from shared.tracking.store import Store
from shared.trees.libraries.installed import require_library

if TYPE_CHECKING:
    from simulations.twins import PooledTwins

Mode = Literal["centralized", "federated", "compare"]


def execute(
    cfg: Config,
    mode: Mode,
    *,
    store: Store,
    home: Home,
    run_id: int | None = None,
    command: str = "fedtwin compare",
    alone: bool = False,
    pooled_twins: PooledTwins | None = None,
) -> int:
    """Train as configured, to the end, as one tracked run.

    Parameters
    ----------
    run_id : int, optional
        An existing run: a pending one is claimed, one that has ended is resumed from its last completed epoch
        or round. Without it, that in ``tracking.run_id``, or else a new one.
    command : str
        What was typed, for the report of a comparison.
    alone : bool
        Start no processes, see `simulations.runner.open_runner`.
    pooled_twins : PooledTwins, optional
        Where other comparisons may have the same pooled twins.

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
    if cfg.federation.kit is None or mode == "compare":  # else clients are elsewhere
        require_library(cfg.model.name)
    resume = False
    if run_id is not None:
        cfg = cfg.replace("tracking", run_id=run_id)
        resume = store.runs.get(run_id).finished
    cfg = fix_rows(cfg, cache=home.cache)
    if not resume and (cfg.model.weights or "").startswith(REGISTRY):
        from simulations.starting import with_start  # it reads the data

        cfg = with_start(cfg, store=store, home=home)
    if mode == "centralized":
        return _train(cfg, store=store, home=home, resume=resume)
    if not resume:
        reject_pooled_only(cfg)
        if mode == "compare":
            reject_one_sided(cfg)
            if pooled_twins is None:  # a search compares its twins on validation rows
                reject_untested(cfg)
    local = mode == "compare" or cfg.federation.engine == "local"
    with waiting("loading Flower, PyTorch and Lightning", show=cfg.trainer.progress):
        from simulations.runner import open_runner  # what trains takes seconds to import

        if local:
            import federated.server.app  # noqa: F401  # here, while it is said; it takes longest
        if mode == "compare":
            import simulations.compare  # noqa: F401
    if local:  # Flower's ServerApp does so itself
        from federated.strategy.base import load_algorithm

        load_algorithm(cfg.strategy).check(cfg)  # before anything is read or trained
    with open_runner(cfg, home=home, alone=alone) as runner:
        if mode == "compare":
            from simulations.compare import compare

            return compare(
                cfg,
                runner=runner,
                store=store,
                home=home,
                command=command,
                resume=resume,
                pooled_twins=pooled_twins,
            )
        with open_board(enabled=cfg.trainer.progress) as board:
            follow = board.follow_rounds(store, "federated", total=cfg.federation.num_rounds)
            return runner.federate(cfg, store=store, home=home, resume=resume, follow=follow)


def _train(cfg: Config, *, store: Store, home: Home, resume: bool) -> int:
    with waiting("loading PyTorch and Lightning", show=cfg.trainer.progress):
        from centralized.train import train

    if not in_notebook() and not is_live(sys.stderr):  # a line an epoch, with its metrics
        return train(cfg, store=store, home=home, resume=resume)
    with open_board(enabled=cfg.trainer.progress) as board:
        on_epoch = board.task("pooled", total=cfg.trainer.max_epochs)
        return train(cfg, store=store, home=home, resume=resume, on_epoch=on_epoch)
