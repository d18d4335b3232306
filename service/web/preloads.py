"""What a page needs, told in its HTML: the browser asks for all modules at once, not import by import."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

# Of our own files: ``import ... from "./x.js"``, ``import "./x.js"`` and ``export ... from "./x.js"``. Calls of
# ``import()`` are not followed: they are made only where they are needed.
_IMPORT = re.compile(rb'^(?:import|export)\b[^;"()]*"(\.{1,2}/[^"]+)"', re.MULTILINE)
_HEAD_END = b"</head>"


def with_preloads(page: bytes, read: Callable[[str], bytes | None], *, of: Iterable[str]) -> bytes:
    """A page's HTML with a link to each file that the given ones import, directly or not, and to those.

    Parameters
    ----------
    page : bytes
    read : callable
        Gives a file below ``/static`` by name, None where there is none.
    of : iterable of str
        Modules, and plain scripts below ``vendor/``.
    """
    links = []
    for name in files_of(read, of):
        rel = 'rel="preload" as="script"' if name.startswith("vendor/") else 'rel="modulepreload"'
        links.append(f'  <link {rel} href="/static/{name}">\n'.encode())
    return page.replace(_HEAD_END, b"".join(links) + _HEAD_END, 1)


def files_of(read: Callable[[str], bytes | None], names: Iterable[str]) -> list[str]:
    """The given files and the modules that they import, directly or not, each once, in the order of need."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        if not name.startswith("vendor/"):
            folder = posixpath.dirname(name)
            text = read(name) or b""
            waiting += [
                posixpath.normpath(posixpath.join(folder, one.decode())) for one in _IMPORT.findall(text)
            ]
    return found
