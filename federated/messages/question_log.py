"""`QuestionLog`: the questions that a client was asked, in its own home, so that it is not told them again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from federated.messages.questions import Arrays
from shared.runtime.files import disk_error


class QuestionLog:
    """A file a question; one that was lost, or is damaged, is as if it had not been asked.

    Parameters
    ----------
    folder : Path
        Of this client in this run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, step: int, arrays: Arrays) -> None:
        """Keep a question; it replaces one of the same number.

        Raises
        ------
        DiskError
        """
        path = self.folder / f"{step}.safetensors"
        content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Not forced to the disk, which takes longer than the answer: what is lost is told again.
            path.with_suffix(".new").write_bytes(content)
            path.with_suffix(".new").replace(path)
        except OSError as error:
            raise disk_error(error, path=path) from None

    def read(self, *, after: int, before: int) -> dict[int, Arrays]:
        """The questions between two numbers that are still there, ascending."""
        found: dict[int, Arrays] = {}
        for step in range(after + 1, before):
            path = self.folder / f"{step}.safetensors"
            try:
                found[step] = load_file(path)
            except (OSError, SafetensorError):
                continue
        return found


def chained(before: str, arrays: Arrays) -> str:
    """The digest of a question and of all before it.

    Parameters
    ----------
    before : str
        Of those before it; empty before the first.
    """
    content = hashlib.sha256(before.encode())
    for name in sorted(arrays):
        array = arrays[name]
        content.update(f"{name} {array.dtype} {array.shape}".encode())
        content.update(array.tobytes())
    return content.hexdigest()
