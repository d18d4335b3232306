"""What names of folders say beside a class: a side of the split, a copy of another folder, leftovers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.data.sources.listing import Listing, last_of, shown_names
from shared.data.sources.spelling import name_key, side_of

_WORDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_COPY = re.compile(
    r"(.+?)[ _-]*(?:\(\d+\)|(?<=[ _-])(?:copy|kopie|copie|copia)(?:[ _-]*\(?\d+\)?)?)", re.IGNORECASE
)
_LEFTOVERS = {
    *("archive", "backup", "bak", "old", "newfolder", "neuerordner", "untitledfolder", "temp", "tmp"),
    *("trash", "papierkorb", "excluded", "ausgeschlossen", "rejected", "discarded", "duplicates"),
    *("augmented", "augmentation", "unknown", "unsorted", "misc", "sonstiges", "todo"),
    *("results", "output", "outputs", "predictions"),
}


def sides_in_names(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Find sides of a split in the names of folders: ``train_benign``, ``benign-test``, ``ill_test_2024``.

    Parameters
    ----------
    names : sequence of str
        Of all folders with images that lie side by side.

    Returns
    -------
    dict of str to tuple of str and str
        The side in each name and what is left of it. Names without one are of no consequence where others are
        called alike but for their sides (``seg_train``, ``seg_test``, ``seg_pred``); else nothing unless each
        has one, and not all the same.
    """
    found = {name: part for name in names if (part := _side_in(name))}
    sides = {side for side, _ in found.values()}
    if len(found) == len(names) and len(sides) > 1:
        return found
    rests = {rest for side, rest in found.values() if side == "train"}
    pairs = {name: (side, rest) for name, (side, rest) in found.items() if rest in rests}
    return pairs if len({side for side, _ in pairs.values()}) > 1 else {}


def tell_sides(names: Sequence[str], listing: Listing) -> list[str]:
    """Refuse folders, the paths of which are given, that name sides of a split beside something else."""
    found = sides_in_names([last_of(name) for name in names])
    if not found:
        return []
    name = next(name for name in names if last_of(name) in found)
    side, rest = found[last_of(name)]
    instead = side if listing.below(name) else f"{side}/{rest}"
    return [
        f"the names of the folders {shown_names(found)} hold sides of a split: given ones are "
        f"folders train, val and test with the classes below; make {instead!r} of {last_of(name)!r}, and so on"
    ]


def sides_below(listing: Listing, top: str = "") -> dict[str, str]:
    """Find folders of splits below each class: ``benign/train``, ``benign/test``, ``malignant/train``.

    Parameters
    ----------
    top : str
        Where the classes lie.

    Returns
    -------
    dict of str to str
        The side of each; nothing unless all images lie in such folders, and in no folder deeper.
    """
    folders = [f"{top}/{name}" if top else name for name in listing.below(top)]
    classes = [name for name in folders if listing.all_in(name)]
    found = {f"{name}/{below}": side_of(below) for name in classes for below in listing.below(name)}
    sides = {folder: side for folder, side in found.items() if side}
    deeper = any(listing.below(folder) for folder in sides)
    loose = any(listing.directly_in(name) for name in classes)
    if (
        deeper
        or loose
        or len(sides) < len(found)
        or len(classes) < 2
        or any(side_of(last_of(name)) for name in classes)
    ):
        return {}
    return sides if len(set(sides.values())) > 1 else {}


def tell_copies(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Judge the names of classes that look as if they were none.

    Returns
    -------
    problems : list of str
        Copies of another, ``benign - Copy`` and ``benign (2)``.
    notes : list of str
        Words such as ``backup``.
    """
    known = {name_key(name) for name in names}
    copies = [name for name in names if (found := _COPY.fullmatch(name)) and name_key(found[1]) in known]
    rest = [name for name in names if name not in copies and name_key(name) in _LEFTOVERS]
    return (
        [f"folder {name!r} is called as a copy of a class; merge the two, or move it away" for name in copies],
        [f"folder {name!r} is read as a class; move it away if it is none" for name in rest],
    )


def _side_in(name: str) -> tuple[str, str] | None:
    words = _WORDS.split(name)
    if len(words) < 2:
        return None
    # Most say it first or last: "test" is a side in "train_blood_test" only if nothing else is.
    for place in (0, len(words) - 1, *range(1, len(words) - 1)):
        if side := side_of(words[place]):
            return side, "_".join([*words[:place], *words[place + 1 :]])
    return None
