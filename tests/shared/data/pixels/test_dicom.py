"""DICOM images are as bright as their headers say, whatever compresses them; headers stay where they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shared.data.pixels.decode import decode_image
from tests.dicoms import SECRET, dicom
from tests.pixels import decode, pixel_rules

pydicom = pytest.importorskip("pydicom")
RAMP = np.tile(np.arange(-1024, 3072, 256), (16, 1))  # Hounsfield units


def levels(data: bytes, **rules: Any) -> list[int]:
    """The levels of the first line."""
    pixels = decode(data, size=16, **rules)
    return [int(level) for level in pixels[0, 0]]


def linear(values: npt.NDArray[Any], low: float, high: float) -> list[int]:
    return [int(level) for level in np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)]


def test_values_are_rescaled_and_the_window_is_applied() -> None:
    stored = (RAMP + 1024).astype(np.uint16)
    file = dicom(
        stored, bits=12, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="400"
    )
    assert levels(file) == linear(RAMP[0], 40 - 0.5 - 199.5, 40 - 0.5 + 199.5)
    several = dicom(
        stored, RescaleIntercept="-1024", RescaleSlope="1", WindowCenter=["40", "9"], WindowWidth=["400", "1"]
    )
    assert levels(several) == levels(file), "the first window"
    assert levels(file, levels=(-1000.0, 400.0)) == linear(RAMP[0], -1000, 400), (
        "a setting comes before the window"
    )


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_the_standard(function: str) -> None:
    from pydicom.pixels.processing import apply_windowing

    file = dicom(RAMP.astype(np.int16), WindowCenter="300", WindowWidth="1500", VOILUTFunction=function)
    shown = apply_windowing(RAMP.astype(np.int16), pydicom.dcmread(io.BytesIO(file)))
    expected = (shown[0] + 32768) / 65535 * 255  # from -2^15 to 2^15 - 1
    assert np.abs(np.array(levels(file)) - expected).max() <= 0.51


def test_a_table_of_levels_is_applied() -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.add_new(0x00283006, "OW", np.array([0, 200, 50, 255], np.uint16).tobytes())
    stored = np.tile(np.arange(4, dtype=np.uint16), (4, 4))
    file = dicom(stored, bits=8, VOILUTSequence=[table], WindowCenter="1", WindowWidth="1")
    assert levels(file)[:4] == [0, 200, 50, 255]


def test_without_a_window_the_bits_are_the_range() -> None:
    twelve = np.tile(np.arange(0, 4096, 273), (16, 1)).astype(np.uint16)
    assert levels(dicom(twelve, bits=12)) == linear(twelve[0], 0, 4095)
    assert levels(dicom(twelve, bits=12, PhotometricInterpretation="MONOCHROME1")) == [
        255 - level for level in linear(twelve[0], 0, 4095)
    ]
    signed = RAMP.astype(np.int16) // 2
    assert levels(dicom(signed, bits=12)) == linear(signed[0], -2048, 2047)
    sixteen = dicom(twelve, bits=16)
    assert levels(sixteen, chosen={"DICOM": (0.0, 4095.0)}) == linear(twelve[0], 0, 4095), (
        "by the training images"
    )
    with pytest.raises(ValueError, match="does not state the range of its DICOM values"):
        decode(sixteen, only_known=True)


def test_colour_is_read() -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[...] = (255, 10, 90)
    pixels = decode(dicom(colour, bits=8, PhotometricInterpretation="RGB"), channels=3)
    assert pixels[:, 0, 0].tolist() == [255, 10, 90]


@pytest.mark.parametrize("name", ["RLELossless", "JPEG2000Lossless"])
def test_what_is_compressed_has_the_same_values(name: str) -> None:
    from pydicom import uid

    stored = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    dataset = pydicom.dcmread(io.BytesIO(dicom(stored, bits=12)))
    dataset.compress(getattr(uid, name), generate_instance_uid=False)
    written = io.BytesIO()
    dataset.save_as(written)
    assert decode(written.getvalue(), size=64).tolist() == decode(dicom(stored, bits=12), size=64).tolist()


@pytest.mark.parametrize("name", ["JPEGLSLossless", "JPEGLosslessProcess14_1", "JPEG2000Lossless"])
def test_what_gdcm_compresses_has_the_same_values(name: str, tmp_path: Path) -> None:
    gdcm = pytest.importorskip("gdcm")
    stored = np.random.default_rng(1).integers(0, 4096, (16, 16), dtype=np.uint16)
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(dicom(stored, bits=12))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(packed))
    assert writer.Write()
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID.is_compressed
    assert decode(packed.read_bytes(), size=16).tolist() == decode(plain.read_bytes(), size=16).tolist()


FLAT = np.full((4, 4), 7, np.uint16)
REFUSED = {
    "NumberOfFrames": dicom(np.stack([FLAT, FLAT]), NumberOfFrames="2"),
    "PhotometricInterpretation": dicom(FLAT, PhotometricInterpretation="PALETTE COLOR"),
    "PixelData": dicom(None),
    "WindowWidth": dicom(FLAT, WindowCenter="5", WindowWidth="0"),
    "VOILUTFunction": dicom(FLAT, WindowCenter="5", WindowWidth="9", VOILUTFunction=SECRET),
    "RescaleSlope": dicom(FLAT, RescaleSlope="0", RescaleIntercept="0"),
    "TransferSyntaxUID: Explicit VR Little Endian": dicom(FLAT)[:-20],
    r"max_image_pixels=15 ": dicom(FLAT),
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_cannot_be_read_is_named_and_no_value_is(
    field: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        decode(REFUSED[field], max_pixels=15 if "15" in field else 99)
    said = str(caught.value) + "".join(capfd.readouterr()) + caplog.text
    assert SECRET not in said


@pytest.mark.attack
def test_a_damaged_header_is_refused_without_its_values(capfd: pytest.CaptureFixture[str]) -> None:
    for file in (
        dicom(FLAT, WindowCenter="1234567890", WindowWidth="9").replace(b"1234567890", SECRET.encode()),
        dicom(FLAT, RescaleSlope="1234567890").replace(b"1234567890", SECRET.encode()),
        dicom(FLAT)[:400],
    ):
        with pytest.raises(ValueError, match="DICOM") as caught:
            decode(file)
        assert SECRET not in str(caught.value) + "".join(capfd.readouterr())


def test_patients_are_told_apart_by_a_salted_hash() -> None:
    def patient(identifier: str | None, salt: bytes = b"salt") -> bytes:
        file = dicom(FLAT, PatientID=identifier)
        return bytes(
            decode_image(file, rules=pixel_rules(size=4, channels=1), salt=salt)[1]["patient"].tobytes()
        )

    assert patient("a") == patient(" a ") != patient("b")
    assert patient("a") != patient("a", b"other")
    assert patient(None) == patient("") == bytes(16)
