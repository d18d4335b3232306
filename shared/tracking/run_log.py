"""`run_log`: what a run's process logs, in a file of the run: progress, warnings, the whole error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.runtime.files import is_of_disk

LOG_FILE = "run.log"  # in a run's folder
logger = logging.getLogger("fedtwin")
_OTHERS = ("flwr", "lightning", "lightning.pytorch", "lightning.fabric", "py.warnings")


@contextmanager
def run_log(folder: Path) -> Iterator[None]:
    """Append to the log of a run while the block lasts.

    Parameters
    ----------
    folder : Path
        Of the run; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(folder / LOG_FILE, encoding="utf-8", errors="backslashreplace")
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    form.converter = time.gmtime
    handler.setFormatter(form)
    # What others merely tell may hold keys of a run, as Flower's does; its course is in our own lines.
    handler.addFilter(lambda record: record.name == logger.name or record.levelno >= logging.WARNING)
    root = logging.getLogger()
    # Flower and Lightning do not pass their records on.
    taken = [root, *(one for one in map(logging.getLogger, _OTHERS) if not _reaches(one, root))]
    level, logger.level = logger.level, logging.INFO
    for one in taken:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in taken:
            one.removeHandler(handler)
        logger.level = level
        handler.close()


class _LogFile(logging.FileHandler):
    """A log that a full disk ends, not the run; Python's own prints a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once why there are no more lines."""
        if is_of_disk(error := sys.exc_info()[1]):
            self.setLevel(logging.CRITICAL + 1)
            print(f"warning: no more lines in {self.baseFilename}: {error}", file=sys.stderr)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whose last lines a full disk does not take."""
        with suppress(OSError):
            super().close()


def logged(say: Callable[[str], None]) -> Callable[[str], None]:
    """What takes a line of progress, and also logs it."""

    def both(line: str) -> None:
        logger.info("%s", line)
        say(line)

    return both


def _reaches(one: logging.Logger, root: logging.Logger) -> bool:
    current: logging.Logger | None = one
    while current is not None and current is not root:
        if not current.propagate:
            return False
        current = current.parent
    return current is root
