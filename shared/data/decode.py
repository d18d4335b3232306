"""Image files to pixels: `decode_image` for one, `decode_files` for a whole source in parallel processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.data.files import open_reader
from shared.data.progress import progress_bar
from shared.errors import DataError

# Named, because others (EPS, for one) hand a file of unknown origin to outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_INLINE_BELOW = 64  # images; starting processes takes longer than decoding these
_CHUNK = (16, 512)  # images a task: enough to outweigh opening the ZIP, few enough to stop soon

Pixels = npt.NDArray[np.uint8]


def decode_image(data: bytes, *, size: int, channels: int) -> Pixels:
    """Decode one image file.

    Parameters
    ----------
    data : bytes
        Content of the file.
    size : int
        Height and width of the result, pixels; resized with antialiasing, the aspect is not kept.
    channels : {1, 3}

    Returns
    -------
    ndarray [C, size, size], uint8

    Raises
    ------
    ValueError
        Says why these bytes are no image.
    """
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF and the like, the pixels are fine
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return resize_image(ImageOps.exif_transpose(image), size=size, channels=channels)
    except UnidentifiedImageError:
        raise ValueError(f"not an image ({', '.join(FORMATS)} are read)") from None
    except Exception as error:  # damaged bytes raise nearly anything, from struct.error to IndexError
        raise ValueError(str(error) or type(error).__name__) from None


def resize_image(image: Image.Image, *, size: int, channels: int) -> Pixels:
    """Bring an image of any mode to 8 bit, the channels and the size.

    Parameters
    ----------
    image : PIL.Image.Image
        Transparency is dropped; 16 bit are scaled so that 65535 becomes 255.
    size : int
        Height and width of the result, pixels.
    channels : {1, 3}

    Returns
    -------
    ndarray [C, size, size], uint8

    Raises
    ------
    ValueError
        The pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels are not supported, 8 or 16 bit are")
    if image.mode.startswith("I"):
        image = Image.fromarray(np.rint(np.clip(np.asarray(image), 0, 65535) / 257).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)


def decode_files(
    root: Path, *, names: Mapping[int, str], out: Path, workers: int | None = None, progress: bool = False
) -> dict[int, str]:
    """Decode files into the rows of a ``.npy`` file, in parallel.

    Parameters
    ----------
    root : Path
        A ZIP or a folder.
    names : mapping of int to str
        The file of each row, by its real name in ``root``.
    out : Path
        A ``.npy`` file [N, C, H, W], uint8, that exists.
    workers : int, optional
        Processes; one a core if None. Few images, and all with 1, are decoded in this process.
    progress : bool
        Draw a bar on stderr.

    Returns
    -------
    dict of int to str
        Why a row could not be decoded; such a row is left as it was.

    Raises
    ------
    DataError
        A decoding process died.
    """
    workers = workers or available_cores()
    length = min(max(len(names) // (workers * 8), _CHUNK[0]), _CHUNK[1])
    items = list(names.items())
    chunks = [items[start : start + length] for start in range(0, len(items), length)]
    decode = partial(_decode_chunk, root, out)
    bad: dict[int, str] = {}
    with progress_bar("decoding images", total=len(items), show=progress) as advance:
        if workers == 1 or len(items) < _INLINE_BELOW or multiprocessing.current_process().daemon:
            for chunk in chunks:
                bad.update(decode(chunk))
                advance(len(chunk))
            return bad
        # Not fork: this process may already run threads (torch, gRPC) that would not survive it.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context, initializer=_begin_worker)
        try:
            futures = {pool.submit(decode, chunk): len(chunk) for chunk in chunks}
            for future in as_completed(futures):
                bad.update(future.result())
                advance(futures[future])
        except BrokenProcessPool:
            raise DataError(
                f"a process that decodes images of {root} died: out of memory, or the calling script starts "
                "its work outside of `if __name__ == '__main__':`; data.decode_workers=1 needs no such process"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
    return bad


def available_cores() -> int:
    """Cores that this process may use.

    Returns
    -------
    int
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _decode_chunk(root: Path, out: Path, chunk: list[tuple[int, str]]) -> dict[int, str]:
    images = np.load(out, mmap_mode="r+")
    _, channels, size, _ = images.shape
    bad = {}
    with open_reader(root) as read:
        for row, name in chunk:
            try:
                data = read(name)
            except Exception as error:  # a damaged entry raises nearly anything, see above
                bad[row] = f"cannot be read: {error}"
                continue
            try:
                images[row] = decode_image(data, size=size, channels=channels)
            except ValueError as error:
                bad[row] = f"cannot be decoded: {error}"
    return bad


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the pool
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    # A pool's workers outlive a parent that is killed, because each holds the queue's writing end open.
    wait([sentinel])
    os._exit(1)
