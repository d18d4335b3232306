"""DICOM files for tests, with names in their headers that nothing may repeat."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

SECRET = "SECRETNAME"


def dicom(stored: npt.NDArray[Any] | None, *, bits: int | None = None, **header: Any) -> bytes:
    """A DICOM file.

    Parameters
    ----------
    stored : ndarray [H, W], [H, W, 3] or [frames, H, W], or None
        Whole numbers of 8 or 16 bits; None: no image.
    bits : int, optional
        BitsStored; all without it.
    header : values
        Further fields by keyword; None leaves one out.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    fields: dict[str, Any] = {"PatientID": SECRET, "PatientName": f"{SECRET}^X", "Modality": "OT"}
    if stored is not None:
        depth = stored.dtype.itemsize * 8
        colour = header.get("PhotometricInterpretation") == "RGB"
        used = bits or depth
        height, width = stored.shape[:2] if colour else stored.shape[-2:]
        fields |= {
            "Rows": height,
            "Columns": width,
            "SamplesPerPixel": 3 if colour else 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": depth,
            "BitsStored": used,
            "HighBit": used - 1,
            "PixelRepresentation": int(stored.dtype.kind == "i"),
        }
        if colour:
            fields["PlanarConfiguration"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some values are wrong on purpose
        for name, value in (fields | header).items():
            if value is not None:
                setattr(dataset, name, value)
        if stored is not None:
            dataset.PixelData = np.ascontiguousarray(stored).tobytes()
            dataset["PixelData"].VR = "OW"
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()
