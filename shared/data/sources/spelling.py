"""Spellings: words for the sides of a split, texts that may mean the same, words for a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_SIDE_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_SHOWN = 20  # of those that are alike
_MISSING = {"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null"}  # what pandas, R and spreadsheets write


def name_key(name: str) -> str:
    """A name without case, spaces and punctuation: ``patientid`` for ``Patient_ID`` and ``patient id``."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


def side_of(name: str) -> str | None:
    """Which side of a split a word means.

    Parameters
    ----------
    name : str
        Of a folder, or a value of a column, in any case: ``Training``, ``valid``, ``test_set``.

    Returns
    -------
    str or None
        ``train``, ``val``, ``test``; None for another word.
    """
    return _SIDE_WORDS.get(re.sub(r"(?<=.)(set|data|images|split)$", "", name_key(name)))


def is_no_class(name: str) -> bool:
    """Whether a folder is called as no class is: ``fold1``, ``test_2``, ``unlabelled``."""
    word = name_key(name)
    numbered = re.fullmatch(r"(.+?)\d+", word)
    return bool(numbered and numbered[1] in {"fold", "split", *_SIDE_WORDS}) or word in {
        "unlabeled",
        "unlabelled",
    }


def is_missing(text: str) -> bool:
    """Whether a text stands for a missing value: empty, ``nan``, ``NA``, ``null`` ..."""
    return text.strip().casefold() in _MISSING


def find_alike(texts: Iterable[str]) -> str:
    """Find texts that differ only in case, in spaces or ``_``, in leading zeros or in a ``.0``.

    Returns
    -------
    str
        Those that are alike, ``differ only in ...: 'a' and 'A', ...``, or nothing.
    """
    found: dict[str, set[str]] = {}
    for text in texts:
        found.setdefault(_value_key(text), set()).add(text)
    alike = sorted(" and ".join(map(repr, sorted(same))) for same in found.values() if len(same) > 1)
    if not alike:
        return ""
    more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
    return f"differ only in case, spaces, leading zeros or '.0': {', '.join(alike[:_SHOWN])}{more}"


def _value_key(text: str) -> str:
    text = re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()
    text = re.sub(r"^([+-]?\d+)\.0+$", r"\1", text)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", text)
