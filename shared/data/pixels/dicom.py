"""`read_dicom`: the values of a DICOM image and whose they are; what its header says is never repeated."""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.data.pixels.levels import Levels, PixelRules
from shared.data.pixels.samples import Samples
from shared.data.text_key import text_key

if TYPE_CHECKING:
    from pydicom import Dataset

KIND = "DICOM"  # of values whose range the header does not say
_DEFLATED, _HEAD = b"1.2.840.10008.1.2.1.99", 4096
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREY = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM, by its preamble."""
    return data[128:132] == b"DICM"


def read_dicom(
    data: bytes,
    *,
    rules: PixelRules,
    windowed: bool,
    salt: bytes,
    admit: Callable[[int], None] | None = None,
) -> Samples:
    """Read a DICOM image.

    Values are rescaled (Modality LUT, RescaleSlope, RescaleIntercept). Black and white are those of the first
    window (VOI LUT), else of BitsStored; 16 bits say nothing of the range.

    Parameters
    ----------
    rules : PixelRules
        Its limits are checked before anything is decoded.
    windowed : bool
        Whether the window is applied.
    salt : bytes
        Of the hash of the PatientID.
    admit : callable, optional
        See `shared.data.pixels.decode.decode_image`.

    Raises
    ------
    ValueError
        Names the field that cannot be read, and never its value: headers say who patients are.
    """
    try:
        import pydicom
    except ImportError:
        raise ValueError(
            "it is DICOM, which needs packages that are not installed: pip install 'fedtwin[dicom]'"
        ) from None
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its warnings repeat values of headers
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_deflated(data, rules.max_bytes)
            dataset = pydicom.dcmread(io.BytesIO(data))
            return _samples(dataset, rules=rules, windowed=windowed, salt=salt, admit=admit)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # whose text may repeat values
        raise ValueError(f"its DICOM header cannot be read ({type(error).__name__})") from None


class _Refused(Exception):
    pass


def _check_deflated(data: bytes, most: int) -> None:
    # pydicom inflates a deflated data set whole, whatever it expands to.
    if _DEFLATED not in data[:_HEAD]:
        return
    start = 144 + int.from_bytes(data[140:144], "little")  # (0002,0000): how long the group of the header is
    if len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], most + 1)) > most:
        raise _Refused(f"it inflates to more than data.max_image_bytes={most}; raise the setting")


def _samples(
    dataset: Dataset,
    *,
    rules: PixelRules,
    windowed: bool,
    salt: bytes,
    admit: Callable[[int], None] | None,
) -> Samples:
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & {item.keyword for item in dataset}:
        raise _Refused("it is DICOM without an image (no PixelData)")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise _Refused("it holds several images (NumberOfFrames), expected one; save each as a file of its own")
    pixel = int(dataset.get("SamplesPerPixel") or 1) * -(-int(dataset.get("BitsAllocated") or 8) // 8)
    try:
        size = rules.check_size(int(dataset.Columns), int(dataset.Rows), pixel_bytes=pixel)
    except ValueError as error:
        raise _Refused(f"{error} (Columns x Rows)") from None
    _check_frame(dataset)
    if admit is not None:
        try:
            admit(size)
        except ValueError as error:
            raise _Refused(str(error)) from None
    meaning = dataset.PhotometricInterpretation
    if meaning not in (*_GREY, *_COLOUR):
        raise _Refused(f"its PhotometricInterpretation is none of {', '.join((*_GREY, *_COLOUR))}")
    identifier = str(dataset.get("PatientID") or "").strip()
    patient = _hash(text_key(identifier), salt) + _hash(identifier, salt) if identifier else b""
    stored = _decoded(dataset)
    if meaning in _COLOUR:
        if stored.dtype != np.uint8:
            raise _Refused("it is in colour with more than 8 bits (BitsAllocated), 8 are read")
        return Samples(picture=Image.fromarray(stored), patient=patient)
    values, stated = _rescaled(dataset, stored)
    window = False
    if windowed:
        values, levels = _windowed(dataset, values)
        stated, window = levels or stated, levels is not None
    if not np.isfinite(values).all():
        raise _Refused("some of its values are not finite (RescaleSlope, RescaleIntercept)")
    return Samples(
        values=values,
        kind=KIND,
        stated=stated,
        window=window,
        inverted=meaning == "MONOCHROME1",
        patient=patient,
    )


def _check_frame(dataset: Dataset) -> None:
    # A compressed frame has a header of its own, by which decoders take memory.
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    from pydicom.encaps import get_frame

    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
            size = image.size
    except Exception:  # RLE, JPEG-LS and lossless JPEG: their decoders go by Rows and Columns
        return
    if size != (dataset.Columns, dataset.Rows):
        raise _Refused("its compressed pixels have another size than Rows and Columns say")


def _decoded(dataset: Dataset) -> npt.NDArray[Any]:
    try:
        stored: npt.NDArray[Any] = dataset.pixel_array
    except Exception as error:
        syntax = dataset.file_meta.TransferSyntaxUID
        name = syntax.name if not syntax.is_private and syntax.name != str(syntax) else "unknown"
        raise _Refused(
            f"its pixels cannot be decoded (TransferSyntaxUID: {name}; {type(error).__name__})"
        ) from None
    return stored


def _hash(text: str, salt: bytes) -> bytes:
    return blake2b(text.encode(), key=salt[:64], digest_size=8).digest()


def _rescaled(dataset: Dataset, stored: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Levels | None]:
    # Values in the unit of the modality, such as Hounsfield's, and the range of what is stored, in that unit.
    from pydicom.pixels.processing import apply_modality_lut

    bits = int(dataset.get("BitsStored") or 16)
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.get("PixelRepresentation") else (0, 2**bits - 1)
    )
    if dataset.get("ModalityLUTSequence"):
        table = dataset.ModalityLUTSequence[0]
        return apply_modality_lut(stored, dataset), (0.0, float(2 ** _bits_of(table) - 1))
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    if slope == 0:
        raise _Refused("its RescaleSlope is 0")
    ends = sorted((low * slope + intercept, high * slope + intercept))
    values = stored.astype(np.float32)
    if (slope, intercept) != (1, 0):
        values = values * np.float32(slope) + np.float32(intercept)
    known = bits < 16 and stored.dtype.kind in "iu"
    return values, (ends[0], ends[1]) if known else None


def _windowed(dataset: Dataset, values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Levels | None]:
    # By the first window, or the first table, which is preferred (DICOM PS3.3 C.11.2).
    from pydicom.pixels.processing import apply_voi

    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        whole = np.rint(values).astype(np.int32)
        return apply_voi(whole, dataset, index=0), (0.0, float(2 ** _bits_of(table) - 1))
    centers, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    if not centers or not widths:
        return values, None
    center, width = centers[0], widths[0]
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise _Refused("its WindowWidth is too small")
    if function == "LINEAR":
        half = max(width - 1, 1e-3) / 2
        return values, (center - 0.5 - half, center - 0.5 + half)
    if function == "LINEAR_EXACT":
        return values, (center - width / 2, center + width / 2)
    if function == "SIGMOID":
        return (1 / (1 + np.exp(-4 * (values - center) / width))).astype(np.float32), (0.0, 1.0)
    raise _Refused("its VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID")


def _bits_of(table: Dataset) -> int:
    return int(table.LUTDescriptor[2])


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    return [float(one) for one in (value if hasattr(value, "__iter__") else [value])]
