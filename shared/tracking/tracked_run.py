"""`tracked_run`: the life cycle of a run, from its row in the store to completed, stopped or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from shared.config.config import Config
from shared.runtime.errors import DatabaseAway
from shared.runtime.files import disk_error, is_of_disk
from shared.runtime.signals import sigterm_as_interrupt, why_interrupted
from shared.tracking.environment import begun_again, command_line
from shared.tracking.resources import sample_resources
from shared.tracking.rows import INTERRUPTED
from shared.tracking.run_log import logger, run_log
from shared.tracking.store import Store

ENVIRONMENT = "environment"  # in a run's summary, see `shared.tracking.environment`


@contextmanager
def tracked_run(
    store: Store,
    cfg: Config,
    *,
    mode: str,
    folder: Callable[[int], Path] | None = None,
    journals: Path | None = None,
    resume: bool = False,
    interrupted: Callable[[BaseException], bool] = lambda error: False,
    snapshot: Mapping[str, Any] | None = None,
) -> Iterator[int]:
    """Open a run row (or claim the one in ``tracking.run_id``) and end it with the block.

    Parameters
    ----------
    cfg : Config
        Its snapshot is stored.
    mode : {"centralized", "federated", "local", "compare", "sweep"}
    folder : callable, optional
        From the run's id to its folder, which gets its log and, over time, what it uses of the machine.
    journals : Path, optional
        Folder for what the run records while the database is away; without it the run ends then.
    resume : bool
        Whether to reopen a run that has ended.
    interrupted : callable
        Whether an exception means that the infrastructure failed, not the run.
    snapshot : mapping, optional
        Stored in place of the configuration's own.

    Yields
    ------
    int
        The run's id. A block that ends normally leaves ``completed`` (unless it ended the run itself),
        Ctrl-C and SIGTERM leave ``stopped``, any other exception leaves ``failed`` with its text; an
        interruption leaves ``failed`` with the stop reason `INTERRUPTED`.
    """
    run_id, settings = cfg.tracking.run_id, cfg.snapshot() if snapshot is None else snapshot
    if run_id is None:
        run_id = store.runs.create(
            name=cfg.name,
            training_mode=mode,
            config=settings,
            seed=cfg.seed,
            description=cfg.description,
            parent_id=cfg.tracking.parent_id,
        )
    else:
        store.runs.claim(run_id, config=settings, resume=resume)
    begun = store.runs.get(run_id).summary.get(ENVIRONMENT)
    store.runs.update(run_id, summary={ENVIRONMENT: begun_again(begun, resume=resume)})
    place = folder(run_id) if folder is not None else None
    with store.record(run_id, journals=journals) if journals is not None else nullcontext():
        with _ended(store, run_id, interrupted=interrupted):
            what = f"run {run_id}, {mode}, {cfg.name}"
            with sigterm_as_interrupt(), _named_disks(), _observed(place, what, resume=resume):
                yield run_id
        store.runs.finish(run_id, "completed")


@contextmanager
def _ended(store: Store, run_id: int, *, interrupted: Callable[[BaseException], bool]) -> Iterator[None]:
    """End a run whose block fails."""
    try:
        yield
    except BaseException as error:
        with suppress(DatabaseAway):  # it says why in the run's journal
            if interrupted(error):
                text = f"interrupted by {type(error).__name__} {error}".strip()
                store.runs.finish(run_id, "failed", stop_reason=INTERRUPTED, error=text)
            elif isinstance(error, (KeyboardInterrupt, SystemExit)):
                told = str(error) if isinstance(error, KeyboardInterrupt) else ""  # signals tell nothing
                store.runs.finish(run_id, "stopped", stop_reason=told or why_interrupted())
            else:
                store.runs.finish(run_id, "failed", error=f"{type(error).__name__}: {error}")
        raise


@contextmanager
def _named_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_of_disk(error):
            raise disk_error(error) from None
        raise


@contextmanager
def _observed(folder: Path | None, what: str, *, resume: bool) -> Iterator[None]:
    """Log, and sample what the machine does, into the run's folder."""
    if folder is None:
        yield
        return
    with run_log(folder), sample_resources(folder):
        logger.info("%s: %s (%s)", what, "resumed" if resume else "started", command_line())
        try:
            yield
        except BaseException:
            logger.exception("%s: ended", what)
            raise
        logger.info("%s: completed", what)
