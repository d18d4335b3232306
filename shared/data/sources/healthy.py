"""`means_none`: whether a label is likely that of images without a finding."""

from __future__ import annotations

import re
from collections.abc import Collection

from shared.data.sources.spelling import name_key

_HEALTHY = {
    *("normal", "healthy", "negative", "benign", "control", "nofinding", "nofindings", "none", "no", "absent"),
    *("hc", "nc", "cn", "ok", "okay", "clear", "clean", "wnl", "unremarkable", "neg", "nad", "false"),
    *("uninfected", "unaffected", "uninvolved", "undiseased"),
    *("gesund", "unauffällig", "unauffaellig", "negativ", "kontrolle", "kein", "keine", "ohne", "sain", "sano"),
    *("sana", "normale", "négatif", "negatif", "negativo", "negativa", "sin", "senza", "sans", "aucun"),
}
_WITHOUT = re.compile(r"(?:no|non|not|un|without|kein|keine|ohne|sin|sans|senza|pas de)[\W_]+\w", re.IGNORECASE)
_ABSENCE = ("no", "non", "not", "un", "without", "kein", "keine", "ohne", "nicht", "sin", "sans")


_SAME = {"normal", "healthy", "nofinding", "nofindings", "none", "no", "absent", "unremarkable", "nad", "wnl"}


def same_none(names: Collection[str]) -> list[str]:
    """Labels that are there beside each other and all say that there is no finding: ``healthy``, ``normal``."""
    found = sorted(name for name in names if name_key(name) in _SAME)
    return found if len(found) > 1 else []


def means_none(name: str, other: str = "") -> bool:
    """Whether a label says that there is no finding: by its word, or as the absence of another label."""
    key = name_key(name)
    absent = {f"{prefix}{name_key(other)}" for prefix in _ABSENCE} if other else set()
    return key in _HEALTHY or key in absent or name.strip() == "-" or _WITHOUT.match(name.strip()) is not None
