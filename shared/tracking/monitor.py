"""`stored_monitor`: which metric chose the best model of a stored run, of any version."""

from __future__ import annotations

from shared.metrics.catalogue import LOSS, spec_of
from shared.metrics.spec import Mode
from shared.tracking.rows import RunRow


def stored_monitor(run: RunRow) -> tuple[str, Mode | None]:
    """The metric that chooses a run's best model, and its better direction.

    Returns
    -------
    tuple of str and ({"min", "max"} or None)
        None where neither the run nor the catalogue knows it.
    """
    if stored := run.summary.get("monitor"):
        return stored["key"], stored["mode"]
    trainer = run.config.get("trainer")
    given = trainer if isinstance(trainer, dict) else {}
    num_classes = len(run.summary.get("classes") or run.summary.get("confusion") or ())
    key: str = given.get("monitor") or _earlier_default(num_classes)
    return key, given.get("mode") or spec_of(key.partition("/")[2]).mode


def resumed_monitor(run: RunRow) -> tuple[str, Mode] | None:
    """What a run that is resumed was begun with; None where it had not begun to train."""
    if not (run.summary.get("monitor") or run.summary.get("classes")):
        return None
    key, mode = stored_monitor(run)
    return None if mode is None else (key, mode)


def _earlier_default(num_classes: int) -> str:
    # Runs that do not store it are of version 0.1, whose default this was; every later run does.
    if not num_classes:
        return f"val/{LOSS}"
    return "val/recall" if num_classes == 2 else "val/accuracy"
