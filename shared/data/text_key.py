"""`text_key`: what is left of a label, a patient's id or a site's name without its spelling."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# What a key is without, in words.
SPELLING = "case, spaces, punctuation, Unicode form or script, leading zeros or '.0'"

_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:\.(\d*?)0*)?")
# Small letters of Cyrillic and Greek that look as Latin ones do.
_LOOK_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u03bf\u03bd\u03c1", "aeopcyxijsovp"
)
_FILLER = re.compile(r"[^a-z0-9%$+<=>|~/]")  # `_is_filler` of ASCII


def text_key(text: str) -> str:
    """A text without case, spaces, punctuation, invisible characters, leading zeros and ``.0``.

    What tells values apart is kept: signs and symbols (``HER2+`` and ``HER2-``, ``<5`` and ``>5``, ``I/II`` and
    ``III``), that digits are apart (``1-2`` is not ``12``), and the fraction of a number (``1.5``, not ``15``).

    Returns
    -------
    str
        The same for ``P-001``, ``p 1`` and ``P001``; for ``1`` and ``1.0``. A text of nothing but punctuation
        is its own key.
    """
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    if not folded.isascii():
        folded = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
        folded = folded.translate(_LOOK_ALIKE)
    if number := _NUMBER.fullmatch(folded):
        sign, whole, fraction = number.groups()
        return sign + whole + (f".{fraction}" if fraction else "")
    folded = re.sub(r"(?<![\d.])0+(?=\d)", "", folded)
    body = folded.rstrip("-")
    if folded.isascii():
        kept = _FILLER.sub(" ", body)
    else:
        kept = "".join(" " if _is_filler(letter) else letter for letter in body)
    kept = re.sub(r"(?<=\d) +(?=\d)", ".", kept.strip()).replace(" ", "")
    return kept + folded[len(body) :] or text


@lru_cache(maxsize=4096)
def _is_filler(letter: str) -> bool:
    kind = unicodedata.category(letter)
    return kind == "Sk" or (kind[0] in "PZC" and letter not in "%/")
