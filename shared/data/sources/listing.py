"""`Listing`: the names of all files and folders of a data set, and what lies in which."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.data.pixels.files import IMAGE_SUFFIXES
from shared.runtime.errors import shortened

_SHOWN = 5  # names in one sentence
_TABLES = (".csv", ".csv.gz", ".tsv", ".parquet")
_TEXTS = (
    *(".txt", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".md", ".html", ".log", ".ini"),
    *(".pdf", ".doc", ".docx", ".xls", ".xlsx"),
)


@dataclass(frozen=True)
class Listing:
    """Names of files and folders, relative, with ``/`` between folders.

    Attributes
    ----------
    files, folders : sequence of str
        Sorted.
    """

    files: Sequence[str]
    folders: Sequence[str]

    def below(self, folder: str) -> list[str]:
        """Last names of the folders in a folder; ``""`` is the top."""
        return self._folders_in.get(folder, [])

    def directly_in(self, folder: str) -> list[str]:
        """Files in a folder itself."""
        return self._files_in.get(folder, [])

    def all_in(self, folder: str) -> Sequence[str]:
        """Files in a folder and below."""
        if not folder:
            return self.files
        return self.files[_start(self.files, folder) : _end(self.files, folder)]

    def all_below(self, folder: str) -> Sequence[str]:
        """Folders below a folder, at any depth."""
        if not folder:
            return self.folders
        return self.folders[_start(self.folders, folder) : _end(self.folders, folder)]

    @cached_property
    def _folders_in(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for folder in self.folders:
            parent, _, name = folder.rpartition("/")
            found[parent].append(name)
        return dict(found)

    @cached_property
    def _files_in(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for file in self.files:
            found[parent_of(file)].append(file)
        return dict(found)


def parent_of(name: str) -> str:
    """The folder of a file or folder; ``""`` is the top."""
    return name.rpartition("/")[0]


def last_of(name: str) -> str:
    """The name of a file or folder without its folders."""
    return name.rpartition("/")[2]


def is_table(name: str) -> bool:
    """Whether a file is called as a table is that ``data=table`` reads."""
    return name.lower().endswith(_TABLES)


def without_suffix(name: str) -> str:
    """The name of a table without what says that it is one."""
    return next((name[: -len(suffix)] for suffix in _TABLES if name.lower().endswith(suffix)), name)


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_text(name: str) -> bool:
    """Whether a file is, by its suffix, a text or a table such as annotations: no image, whatever it holds."""
    return name.lower().endswith(_TEXTS)


def shown_names(names: Iterable[str], *, most: int = _SHOWN) -> str:
    """The first few names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return shortened(", ".join(map(repr, known[:most])) + more)


def _start(names: Sequence[str], folder: str) -> int:
    return bisect_left(names, f"{folder}/")


def _end(names: Sequence[str], folder: str) -> int:
    return bisect_left(names, f"{folder}0")  # "0" is the character after "/"
