"""Spellings: words for the sides of a split, texts that may mean the same, words for a missing value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from shared.data.text_key import SPELLING, text_key

SIDE_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
_SHOWN = 20  # of those that are alike
_MISSING = {  # what pandas, R, spreadsheets and people write
    *("", "nan", "na", "n/a", "n.a.", "#n/a", "<na>", "nat", "null", "?", "-", "--", ".", "tbd", "missing"),
    *("unlabeled", "unlabelled", "not available"),
}
_PERHAPS_MISSING = {"none", "unknown", "undefined", "unspecified", "not specified"}  # or a class


def name_key(name: str) -> str:
    """A name without case, spaces and punctuation: ``patientid`` for ``Patient_ID`` and ``patient id``."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


@lru_cache(maxsize=4096)  # a column has few words, and as many rows as there are
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
    return SIDE_WORDS.get(re.sub(r"(?<=.)(set|data|images|split)$", "", name_key(name)))


def is_no_class(name: str) -> bool:
    """Whether a folder is called as no class is: ``fold1``, ``test_2``, ``trainA``, ``unlabelled``."""
    if re.fullmatch(r"(?i:train|test|val)(?:[A-Z]|[\W_]+[A-Za-z])", name):
        return True
    word = name_key(name)
    numbered = re.fullmatch(r"(.+?)\d+", word)
    return bool(numbered and numbered[1] in {"fold", "split", *SIDE_WORDS}) or word in {
        "unlabeled",
        "unlabelled",
    }


def is_missing(text: str) -> bool:
    """Whether a text stands for a missing value: empty, ``nan``, ``NA``, ``null``, ``?``, ``TBD`` ..."""
    return text.strip().casefold() in _MISSING


def may_be_missing(text: str) -> bool:
    """Whether a text may stand for a missing value, and may be a value: ``none``, ``unknown``."""
    return text.strip().casefold() in _PERHAPS_MISSING


def find_alike(texts: Iterable[str]) -> str:
    """Find texts that differ in spelling only, by `shared.data.text_key.text_key`.

    Returns
    -------
    str
        Those that are alike, ``differ only in ...: 'a' and 'A', ...``, or nothing.
    """
    found: dict[str, set[str]] = {}
    for text in set(texts):
        found.setdefault(text_key(text), set()).add(text)
    alike = sorted(" and ".join(map(repr, sorted(same))) for same in found.values() if len(same) > 1)
    if not alike:
        return ""
    more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
    return f"differ only in {SPELLING}: {', '.join(alike[:_SHOWN])}{more}"
