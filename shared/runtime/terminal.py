"""What a person sees on the terminal: errors without a traceback, and a run's table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shared.runtime.errors import FedtwinError


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error that the user can mend, and exit with 2; Ctrl-C exits with 130."""
    try:
        yield
    except FedtwinError as error:
        print(f"error ({type(error).__name__}): {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; `fedtwin runs` lists the run, `fedtwin resume RUN` resumes it", file=sys.stderr)
        sys.exit(130)
