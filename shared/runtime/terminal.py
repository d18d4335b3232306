"""`report_errors`: prints errors that the user can correct without a traceback, and sets the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.runtime.errors import FedtwinError
from shared.runtime.files import disk_error, is_of_disk


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error that the user can correct, or of a disk, and exit with 2; Ctrl-C exits with 130."""
    try:
        yield
    except FedtwinError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if not is_of_disk(error):
            raise
        print(f"error: {disk_error(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; list runs with `fedtwin runs`, resume with `fedtwin resume RUN`", file=sys.stderr)
        sys.exit(130)
