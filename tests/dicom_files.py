"""Small DICOM series made with pydicom alone, so that what is read does not come from what is tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ORIGIN = (-20.0, 7.0, 100.0)  # LPS mm


def write_series(
    folder: Path,
    array: np.ndarray,
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float, float] = (2.5, 0.5, 1.0),
    positions: Sequence[Sequence[float]] | None = None,
    modality: str = "CT",
    prefix: str = "slice",
    intercept: float = -1024,
    slope: float = 1,
    **tags: Any,
) -> str:
    """Write int16 slices ``[Z, Y, X]`` (stored values) as a series with spacing (z, row, column); returns its UID.

    The slices lie along the normal of ``orientation`` from ``ORIGIN`` on, or at ``positions``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    for number, plane in enumerate(array):
        kind = CTImageStorage if modality == "CT" else MRImageStorage
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset(str(folder), {}, file_meta=meta, preamble=bytes(128))
        one.SOPClassUID, one.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Secret^Name", "id-7", "", ""
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.Modality, one.StudyDate, one.StudyTime, one.StudyID, one.AccessionNumber = modality, "", "", "", ""
        one.ReferringPhysicianName, one.SeriesNumber, one.InstanceNumber, one.Manufacturer = "", 1, number + 1, "test"
        place = np.array(ORIGIN) + number * spacing[0] * normal if positions is None else np.array(positions[number])
        one.ImagePositionPatient, one.ImageOrientationPatient = [float(v) for v in place], list(orientation)
        one.PixelSpacing, one.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        one.Rows, one.Columns = plane.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.RescaleIntercept, one.RescaleSlope = intercept, slope
        one.PixelData = plane.astype("<u2").tobytes()
        for name, value in tags.items():
            setattr(one, name, value)
        one.save_as(
            folder / f"{prefix}{(7 * number) % 101:03d}.dcm", enforce_file_format=True
        )  # names say nothing of order
    return str(series)
