"""`Shown`: hides folders, hosts and the database in answers to who may not administer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets

A_WORKER = "a worker"


@dataclass(frozen=True)
class Shown:
    """Hides where the server keeps things.

    Attributes
    ----------
    everything : bool
        Whether the caller may administer, and so sees folders and hosts.
    folders : tuple of Path
        Where the data of jobs may lie.
    database : str
        Its address without a password.
    """

    everything: bool
    home: Home
    folders: tuple[Path, ...] = ()
    database: str = ""

    def of(self, value: Any, *, workers: Iterable[str] = ()) -> Any:
        """A copy without passwords; for who may not administer, without places.

        Parameters
        ----------
        value : Any
            A text, or lists and dictionaries that hold texts.
        workers : iterable of str
            Names of workers, which are hosts and process ids.
        """
        value = without_secrets(value)
        if self.everything:
            return value
        named = sorted(filter(None, workers), key=len, reverse=True)
        return self._without(value, re.compile("|".join(map(re.escape, named))) if named else None)

    @cached_property
    def _places(self) -> re.Pattern[str]:
        root = str(self.home.root)
        folders = {str(one) for folder in self.folders for one in (folder.absolute(), folder.resolve())}
        places = [*([self.database] if self.database else []), *folders, root]
        longest_first = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
        # What was uploaded lies in a numbered folder of the home, and is known by its file's name.
        return re.compile(rf"{re.escape(root)}/datasets/\d+/|({longest_first})(/|(?![\w-]))")

    def _without(self, value: Any, workers: re.Pattern[str] | None) -> Any:
        if isinstance(value, str):
            text = self._places.sub(self._word, value)
            return text if workers is None else workers.sub(A_WORKER, text)
        if isinstance(value, dict):
            return {key: self._without(one, workers) for key, one in value.items()}
        return [self._without(one, workers) for one in value] if isinstance(value, (list, tuple)) else value

    def _word(self, found: re.Match[str]) -> str:
        place, slash = found[1], found[2]
        if place is None or slash:
            return ""
        return "the tracking database" if place == self.database else "a folder of the server"
