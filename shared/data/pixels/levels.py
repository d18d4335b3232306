"""`PixelRules` and `Levels`: which stored values become black and white, and how images are brought to size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig

_BLOCK = 2**22  # values that are scaled at a time
Levels = tuple[float, float]  # the values that become black (0) and white (255); in between it is linear
Basis = Literal["type", "file", "window", "chosen", "setting"]

ALL_OF_16_BIT: Levels = (0.0, 65535.0)
# The ranges in which values usually are, where a file does not say: [0, 1], 8, 10, 12, 14 and 16 bits.
_USUAL = (1.0, *(float(2**bits - 1) for bits in (8, 10, 12, 14, 16)))
_TYPES: Mapping[str, Levels] = {
    "uint8": (0.0, 255.0),
    "uint16": ALL_OF_16_BIT,
    "int16": (-32768.0, 32767.0),
    "uint32": (0.0, 2.0**32 - 1),
    "int32": (-(2.0**31), 2.0**31 - 1),
    "float32": (0.0, 1.0),
    "float64": (0.0, 1.0),
    "DICOM": ALL_OF_16_BIT,
}


class Scale(NamedTuple):
    """The levels of one image, and what they rest on."""

    levels: Levels
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class PixelRules:
    """How image files become pixels; alike wherever a model's images are read.

    Attributes
    ----------
    size : int
        Height and width of the result, pixels.
    channels : {1, 3}
    levels : tuple of float, optional
        ``data.levels``; none of "auto".
    chosen : mapping of str to tuple of float
        Levels chosen from training data, by kind of value (see `kind_of`), for files that do not state theirs.
    only_known : bool
        Refuse files that do not state their range and whose kind is not among ``chosen``: of a trained model.
    transparent : {"black", "white", "ignore"}
        What is painted under transparent pixels; "ignore" takes the colours that the file has beneath.
    max_pixels, max_side, max_bytes : int
        Of one image, before it is resized; bytes as it is decoded.
    max_ratio : float
        Largest ratio of decoded to stored bytes of all images together, see `shared.data.pixels.limits`.
    """

    size: int
    channels: int
    levels: Levels | None = None
    chosen: Mapping[str, Levels] = field(default_factory=dict)
    only_known: bool = False
    transparent: str
    max_pixels: int
    max_side: int
    max_bytes: int
    max_ratio: float

    def scale_of(self, kind: str, *, stated: Levels | None, window: bool = False, peak: float) -> Scale:
        """The levels of an image.

        Parameters
        ----------
        kind : str
            See `kind_of`.
        stated : tuple of float, optional
            What the file says of its range.
        window : bool
            Whether that is a window, outside of which values lie on purpose.
        peak : float
            The largest value of the image.

        Raises
        ------
        ValueError
            ``only_known``, and nothing is known.
        """
        # Levels that 8 bits cannot hold are meant for the deeper files of a mixed set.
        if self.levels is not None and (not kind.startswith("uint8") or self.levels[1] <= 255):
            return Scale(self.levels, "setting")
        if stated is not None:
            return Scale(stated, "window" if window else "file")
        if kind in self.chosen:
            return Scale(self.chosen[kind], "chosen")
        base = kind.partition("/")[0]
        if self.only_known and base != "uint8" and not (base == "uint16" and peak > _USUAL[-2]):
            raise ValueError(
                f"it does not state the range of its {kind} values, and the model was trained on no such file; "
                f"convert it to 8 bit, or train with data.levels=[LOW,HIGH]"
            )
        return Scale(_TYPES[base], "type")

    def check_size(self, width: int, height: int, *, pixel_bytes: int) -> int:
        """Check the size that a header declares, before the pixels are read.

        Parameters
        ----------
        width, height : int
            Pixels.
        pixel_bytes : int
            Of one pixel, all channels, decoded.

        Returns
        -------
        int
            Bytes, decoded.

        Raises
        ------
        ValueError
            It is beyond a limit.
        """
        pixels, size = width * height, f"it has {width} x {height}"
        if pixels > self.max_pixels:
            raise ValueError(
                f"{size} = {pixels} pixels, data.max_image_pixels={self.max_pixels} are allowed; raise the "
                "setting, or save it smaller"
            )
        if max(width, height) > self.max_side:
            raise ValueError(
                f"{size} pixels, data.max_image_side={self.max_side} are allowed; raise the setting, or cut it"
            )
        if pixels * pixel_bytes > self.max_bytes:
            raise ValueError(
                f"{size} pixels = {pixels * pixel_bytes} bytes decoded, data.max_image_bytes={self.max_bytes} "
                "are allowed; raise the setting, or save it smaller"
            )
        return pixels * pixel_bytes

    def to_json(self) -> str:
        """The rules as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PixelRules:
        """Read `to_json`."""
        values = json.loads(text)
        values["chosen"] = {kind: tuple(levels) for kind, levels in values["chosen"].items()}
        return cls(**values | {"levels": values["levels"] and tuple(values["levels"])})


def kind_of(dtype: npt.DTypeLike, significant: int | None = None) -> str:
    """What kind of values an image has, such as ``uint16``; ``uint16/12`` if a PNG says that 12 bits matter."""
    return f"{np.dtype(dtype).name}/{significant}" if significant else np.dtype(dtype).name


def is_full(kind: str) -> bool:
    """Whether values of a kind fill their type: those of 8 bit do."""
    return kind == "uint8"


def rules_of(cfg: ImageDataConfig, *, chosen: Mapping[str, Levels] | None = None) -> PixelRules:
    """The rules by which images are read.

    Parameters
    ----------
    chosen : mapping of str to tuple of float, optional
        Levels of a trained model, by kind of value; files of other kinds must state their range. Without it,
        such files are read by the range of their type.
    """
    return PixelRules(
        size=cfg.image_size,
        channels=cfg.channels,
        levels=None if cfg.levels == "auto" else cfg.levels,
        chosen=chosen or {},
        only_known=chosen is not None,
        transparent=cfg.transparent,
        max_pixels=cfg.max_image_pixels,
        max_side=cfg.max_image_side,
        max_bytes=cfg.max_image_bytes,
        max_ratio=cfg.max_image_ratio,
    )


def choose_levels(kind: str, *, low: float, high: float) -> Levels:
    """Choose levels for files that do not state theirs.

    The smallest usual range that holds all values: 0 to 1 (of floating-point numbers only), 255, 1,023, 4,095,
    16,383 or 65,535. Negative and larger values have no usual range: the smallest and the largest value.

    Parameters
    ----------
    kind : str
        See `kind_of`. With significant bits, these are the range, unless a value is larger; the PNG standard
        has such values spread over the whole type.
    low, high : float
        The smallest and the largest value of all training images.
    """
    base, _, significant = kind.partition("/")
    if significant:
        raw = float(2 ** int(significant) - 1)
        return (0.0, raw) if high <= raw else _TYPES[base]
    usual = _USUAL if base.startswith("float") else _USUAL[1:]
    if low >= 0 and high <= usual[-1]:
        return 0.0, next(level for level in usual if high <= level)
    return low, high if high > low else low + 1


def to_bytes(values: npt.NDArray[Any], levels: Levels) -> npt.NDArray[np.uint8]:
    """Scale stored values to 0 to 255, rounded; what lies beyond the levels is clipped.

    Parameters
    ----------
    values : ndarray
        Of any real type.

    Returns
    -------
    ndarray, uint8
        Of the same shape.
    """
    if values.dtype in (np.uint8, np.uint16):
        table = _scaled(np.arange(np.iinfo(values.dtype).max + 1, dtype=np.float64), levels)
        looked_up: npt.NDArray[np.uint8] = table[values]
        return looked_up
    wide = np.float64 if values.dtype.itemsize > 2 else np.float32
    scaled = np.empty(values.shape, np.uint8)
    rows = max(_BLOCK // max(values[:1].size, 1), 1)
    for start in range(0, len(values), rows):  # as floating-point numbers all of them take 8 times the memory
        scaled[start : start + rows] = _scaled(values[start : start + rows].astype(wide), levels)
    return scaled


def _scaled(values: npt.NDArray[Any], levels: Levels) -> npt.NDArray[np.uint8]:
    low, high = levels
    values -= low
    values *= 255 / (high - low)
    np.clip(values, 0, 255, out=values)
    scaled: npt.NDArray[np.uint8] = np.rint(values, out=values).astype(np.uint8)
    return scaled
