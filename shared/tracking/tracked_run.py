"""`tracked_run`: the life cycle of a run, from its row in the store to completed, stopped or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.config.config import Config
from shared.runtime.signals import sigterm_as_interrupt
from shared.tracking.rows import INTERRUPTED
from shared.tracking.store import Store


@contextmanager
def tracked_run(
    store: Store,
    cfg: Config,
    *,
    mode: str,
    resume: bool = False,
    interrupted: Callable[[BaseException], bool] = lambda error: False,
) -> Iterator[int]:
    """Open a run row (or claim the one in ``tracking.run_id``) and end it with the block.

    Parameters
    ----------
    cfg : Config
        Its snapshot is stored.
    mode : {"centralized", "federated", "local", "compare"}
    resume : bool
        Whether to reopen a run that has ended.
    interrupted : callable
        Whether an exception means that the infrastructure failed, not the run.

    Yields
    ------
    int
        The run's id. A block that ends normally leaves ``completed`` (unless it ended the run itself),
        Ctrl-C and SIGTERM leave ``stopped``, any other exception leaves ``failed`` with its text; an
        interruption leaves ``failed`` with the stop reason `INTERRUPTED`.
    """
    run_id = cfg.tracking.run_id
    if run_id is None:
        run_id = store.runs.create(
            name=cfg.name,
            training_mode=mode,
            config=cfg.snapshot(),
            seed=cfg.seed,
            description=cfg.description,
            parent_id=cfg.tracking.parent_id,
        )
    else:
        store.runs.claim(run_id, config=cfg.snapshot(), resume=resume)
    try:
        with sigterm_as_interrupt():
            yield run_id
    except BaseException as error:
        if interrupted(error):
            text = f"interrupted by {type(error).__name__} {error}".strip()
            store.runs.finish(run_id, "failed", stop_reason=INTERRUPTED, error=text)
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            store.runs.finish(run_id, "stopped", stop_reason="interrupted by the user")
        else:
            store.runs.finish(run_id, "failed", error=f"{type(error).__name__}: {error}")
        raise
    store.runs.finish(run_id, "completed")
