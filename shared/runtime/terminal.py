"""`report_errors`: prints errors that the user can correct without a traceback, and sets the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.runtime.errors import FedtwinError


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error that the user can correct and exit with 2; Ctrl-C exits with 130."""
    try:
        yield
    except FedtwinError as error:
        print(f"error ({type(error).__name__}): {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; list runs with `fedtwin runs`, resume with `fedtwin resume RUN`", file=sys.stderr)
        sys.exit(130)
