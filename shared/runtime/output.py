"""`survive_encoding`: standard output and error print any text, whatever their encoding can hold."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from contextlib import suppress

_HANDLER = "fedtwin-plain"
# One character for one, so that tables stay aligned.
_PLAIN = str.maketrans(
    {
        "↑": "^", "↓": "v", "▲": "^", "▼": "v", "→": ">", "←": "<",
        "─": "-", "━": "-", "╸": "-", "╺": "-", "═": "=", "│": "|", "┃": "|", "║": "|",
        "–": "-", "—": "-", "−": "-", "‑": "-", "…": ".", "·": ".", "•": "*", "×": "x", "±": "~", "≈": "~",
        "≤": "<", "≥": ">", "≠": "!", "‘": "'", "’": "'", "“": '"', "”": '"', "°": "o", "µ": "u", "μ": "u",
        "█": "#", "▏": "|", "✓": "+", "✗": "x", "■": "#", "●": "o", "○": "o", "∞": "~",
    }
)  # fmt: skip


def survive_encoding() -> None:
    """Replace what the encodings of standard output and error lack: ``↑`` by ``^``, ``ü`` by ``?``.

    A letter has no look-alike: a name or a path with another letter would be that of something else.

    Without it, a table with an arrow ends a command with an error where the locale is C, Latin-1 or cp1252.
    """
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def plain(text: str, *, encoding: str) -> str:
    """A text as it is printed where the encoding lacks some of its characters."""
    codecs.register_error(_HANDLER, _replace)
    return text.encode(encoding, errors=_HANDLER).decode(encoding)


def exact_output() -> None:
    """Print UTF-8 from now on: data for programs must not lose a character."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(_one(character, error.encoding) for character in found), error.end


def _one(character: str, encoding: str) -> str:
    candidate = character.translate(_PLAIN)
    with suppress(UnicodeEncodeError):
        candidate.encode(encoding)
        return candidate
    box = unicodedata.name(character, "").startswith("BOX DRAWINGS")
    return "+" if box else "?"
