"""Image files to pixels: `decode_image` for one, `decode_rows` for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.data.pixels.dicom import is_dicom, read_dicom
from shared.data.pixels.facts import FACTS, facts_beside
from shared.data.pixels.levels import PixelRules, is_full, to_bytes
from shared.data.pixels.samples import Samples, read_picture, samples_of
from shared.data.pixels.work import Work
from shared.runtime.errors import shortened

Pixels = npt.NDArray[np.uint8]
Facts = npt.NDArray[np.void]  # a record of `FACTS`
Admit = Callable[[int], None]

_GREY = ("L", "LA", "La", "1")
_LOOKED_AT = 32  # pixels a side, of which it is told whether an image has colours
_COLOUR, _FEW = 1 / 16, 0.02  # of the range, and of the pixels: less is the noise of a JPEG
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


def decode_image(
    data: bytes, *, rules: PixelRules, salt: bytes = b"", admit: Admit | None = None
) -> tuple[Pixels, Facts]:
    """Decode one image file.

    Parameters
    ----------
    data : bytes
        Content of the file.
    salt : bytes
        Of the hashes of patients.
    admit : callable, optional
        Called with the bytes of the image, decoded, before it is; see `shared.data.pixels.work.Work`.

    Returns
    -------
    pixels : ndarray [C, size, size], uint8
        Resized with antialiasing, the aspect is not kept.
    facts : ndarray [] of `FACTS`

    Raises
    ------
    ValueError
        Says why these bytes are no image.
    """
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    try:
        if is_dicom(data):
            unset = rules.levels is None
            samples = read_dicom(data, rules=rules, windowed=unset, salt=salt, admit=admit)
        else:
            samples = read_picture(data, rules=rules, admit=admit)
        return render(samples, rules=rules)
    except Exception as error:  # damaged bytes raise nearly anything, from struct.error to IndexError
        raise ValueError(str(error) or type(error).__name__) from None


def decode_picture(image: Image.Image, *, rules: PixelRules) -> Pixels:
    """Bring one of Pillow's images to 8 bit, the channels and the size.

    Returns
    -------
    ndarray [C, size, size], uint8

    Raises
    ------
    ValueError
        Its values are of no known range, or no numbers.
    """
    return render(samples_of(image), rules=rules)[0]


def render(samples: Samples, *, rules: PixelRules) -> tuple[Pixels, Facts]:
    """Scale what a file stores, paint what is transparent, and resize.

    Returns
    -------
    pixels : ndarray [C, size, size], uint8
    facts : ndarray [] of `FACTS`

    Raises
    ------
    ValueError
        See `shared.data.pixels.levels.PixelRules.scale_of`.
    """
    mode = "L" if rules.channels == 1 else "RGB"
    values, image = samples.values, samples.picture
    coloured = _has_colours(samples)
    opacity: Image.Image | None = None
    if image is not None:
        image, opacity = _flat(image, mode)
        stored = np.asarray(image)
        low, high = map(float, (stored.min(), stored.max()))
    else:
        assert values is not None
        stored = values
        low, high = map(float, (values.min(), values.max()))
        if samples.opacity is not None and samples.opacity.min() < 255:
            opacity = Image.fromarray(samples.opacity)
    scale = rules.scale_of(samples.kind, stated=samples.stated, window=samples.window, peak=high)
    if image is None or not (is_full(samples.kind) and scale.basis == "type"):
        scaled = to_bytes(stored, scale.levels)
        image = Image.fromarray(255 - scaled if samples.inverted else scaled).convert(mode)
    if opacity is not None and rules.transparent != "ignore":
        ground = Image.new(mode, image.size, rules.transparent)
        image = Image.composite(image, ground, opacity)
    facts = np.zeros((), FACTS)
    facts["kind"], facts["low"], facts["high"] = samples.kind, low, high
    (facts["black"], facts["white"]), facts["basis"] = scale
    facts["transparent"] = opacity is not None
    facts["coloured"] = coloured
    facts["width"], facts["height"] = image.size
    facts["digest"] = digest_of(stored, opacity, inverted=samples.inverted)
    facts["patient"] = samples.patient
    return _resized(image, size=rules.size, channels=rules.channels), facts


def digest_of(
    stored: npt.NDArray[Any],
    opacity: Image.Image | None = None,
    *,
    inverted: bool = False,
) -> bytes:
    """Hash of an image's pixels: equal for equal images, whatever their file format.

    Parameters
    ----------
    stored : ndarray
        Values as the file has them.
    opacity : PIL.Image.Image, optional
        Of an image that is transparent in places.
    inverted : bool
        Whether the smallest value is white.

    Returns
    -------
    bytes, 16
    """
    total = blake2b(repr((stored.shape, stored.dtype.str, inverted)).encode(), digest_size=16)
    total.update(np.ascontiguousarray(stored).data)
    if opacity is not None:
        total.update(opacity.tobytes())
    return total.digest()


def decode_rows(
    read: Callable[[str], bytes], *, names: Mapping[int, str], out: Path, rules: PixelRules, work: Work
) -> dict[int, str]:
    """Decode files into rows of a ``.npy`` file, and what is known of them into that of the facts beside it.

    Parameters
    ----------
    read : callable
        Of `shared.data.pixels.files.open_reader`.
    names : mapping of int to str
        The file of each row, by its real name.
    out : Path
        A ``.npy`` file [N, C, H, W], uint8, that exists; the file of `shared.data.pixels.facts` too.
    work : Work
        Counts what is decoded; beyond its allowance nothing more is.

    Returns
    -------
    dict of int to str
        Why a row could not be decoded; such a row is left as it was.
    """
    images = np.load(out, mmap_mode="r+")
    facts = np.load(facts_beside(out), mmap_mode="r+")
    salt = out.parent.name.encode()  # random, and gone once the entry is whole
    bad = {}
    for row, name in names.items():
        try:
            data = read(name)
        except Exception as error:  # a damaged entry raises nearly anything, see above
            bad[row] = shortened(f"cannot be read: {error}")
            continue
        try:
            images[row], facts[row] = decode_image(data, rules=rules, salt=salt, admit=work.admit)
        except ValueError as error:
            bad[row] = shortened(f"cannot be decoded: {error}")
        finally:
            work.release()
        if work.done > work.allowance:
            break
    return bad


def _flat(image: Image.Image, mode: str) -> tuple[Image.Image, Image.Image | None]:
    # Without transparency, and how opaque it is if that is less than everywhere.
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA" if image.mode in ("P", "PA") or image.mode.startswith("RGB") else "LA")
        opacity = image.getchannel("A")
        lowest, _ = opacity.getextrema()
        return image.convert(mode), opacity if lowest < 255 else None  # type: ignore[operator]
    return (image if image.mode == mode else image.convert(mode)), None


def _has_colours(samples: Samples) -> bool:
    # By some of its pixels: a grey image may be stored as RGB, and a JPEG then differs a little by channel.
    if samples.picture is not None:
        if samples.picture.mode in _GREY:
            return False
        small = samples.picture.resize((_LOOKED_AT, _LOOKED_AT), Image.Resampling.NEAREST).convert("RGB")
        pixels = np.asarray(small).astype(np.float64)
        span = 255.0
    else:
        assert samples.values is not None
        if samples.values.ndim == 2:
            return False
        steps = [max(length // _LOOKED_AT, 1) for length in samples.values.shape[:2]]
        pixels = samples.values[:: steps[0], :: steps[1]].astype(np.float64)
        span = max(float(pixels.max() - pixels.min()), 1e-9)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    return float((spread > span * _COLOUR).mean()) > _FEW


def _resized(image: Image.Image, *, size: int, channels: int) -> Pixels:
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)
