"""`Work`: how many bytes decoding gave and may give; large images are decoded one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import FREE_DECODED_BYTES, LEAST_DECODED_BYTES, over
from shared.runtime.errors import DataError

if TYPE_CHECKING:
    from filelock import FileLock

_LARGE = 48 * 2**20  # bytes decoded: more than X-ray and mammography detectors give


class Work:
    """What one process has decoded of its task.

    Parameters
    ----------
    allowance : float
        Bytes; `admit` refuses what goes beyond.
    lock : Path, optional
        A file that all processes share: who decodes a large image holds it.
    """

    def __init__(self, allowance: float, *, lock: Path | None = None) -> None:
        self.allowance, self.done = allowance, 0
        self._path = lock
        self._lock: FileLock | None = None

    def admit(self, size: int) -> None:
        """Count an image whose header has been read, and wait until there is room for it.

        Parameters
        ----------
        size : int
            Bytes, decoded.

        Raises
        ------
        ValueError
            With it, more is decoded than is allowed.
        """
        self.done += max(size, LEAST_DECODED_BYTES)
        if self.done > self.allowance:
            raise ValueError("more is decoded than is allowed")
        if size > _LARGE and self._path is not None:
            from filelock import FileLock  # few images are so large

            self._lock = FileLock(self._path)
            self._lock.acquire()

    def release(self) -> None:
        """Say that the image is decoded."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def allowed_work(root: Path, names: Iterable[str], rules: PixelRules) -> int:
    """Bytes that may be decoded of some files.

    Parameters
    ----------
    root : Path
        A ZIP or a folder.
    names : iterable of str
        Real names in it.
    """
    if root.is_dir():
        paths = (root / name for name in names)
        stored = sum(path.stat().st_size for path in paths if path.exists())
    else:
        stored = root.stat().st_size
    return max(int(stored * rules.max_ratio), FREE_DECODED_BYTES)


def too_much(root: Path, allowance: float, rules: PixelRules) -> DataError:
    """The error of data that decodes to more than is allowed."""
    least = f"{LEAST_DECODED_BYTES} at least for each"
    found = f"the images of {root} decode to more than {allowance:.0f} bytes ({least})"
    return DataError(over(found, "max_image_ratio", rules.max_ratio))
