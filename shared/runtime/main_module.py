"""`without_main`: starts processes that do not import the user's script again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_main() -> Iterator[None]:
    """Within the block, the main module is an empty one.

    Children of a fork server, and those that are spawned, import the main module again, and with it a user's
    script that has no ``if __name__ == "__main__"``; ours need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
