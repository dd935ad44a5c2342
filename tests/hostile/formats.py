"""Every format that is read, with a small good file of it and the calls that read it: where a new format is to be entered.

A ``Format`` whose reader is not part of this version (``split_name`` does not know the ending), or whose library is not installed,
is skipped, and said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from adelecli.volumes.cases import Case
from adelecli.volumes.listing import split_name
from adelecli.volumes.reading import read_geometry, read_image, read_labels

MASK = np.random.default_rng(0).integers(0, 4, (3, 5, 6)).astype(np.uint8)


@dataclass(frozen=True)
class Format:
    """How a good file named ``name`` is made in a folder, and what it needs."""

    name: str
    write: Callable[[Path], object]
    library: str | None = None

    def make(self, folder: Path) -> Path:
        """The good file; skips the test when this version or this environment cannot."""
        if split_name(self.name) is None:
            pytest.skip(f"no reader for {self.name} in this version")
        if self.library is not None:
            pytest.importorskip(self.library)
        path = folder / self.name
        self.write(path)
        return path


def read_everything(path: Path) -> list[Callable[[], object]]:
    """Every door through which a file of patient data comes in."""
    return [lambda: read_labels(path), lambda: read_geometry(path), lambda: read_image(Case("c", (path,)))]


def write_nifti(path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(MASK.T, np.diag([1, 2, 3, 1])), path)


def write_scaled_nifti(path: Path) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(MASK.T.astype(np.int16), np.diag([1, 2, 3, 1]))
    image.header.set_slope_inter(0.5, 3)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"comment"))
    nib.save(image, path)


def write_nifti2(path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti2Image(MASK.T, np.eye(4)), path)


def write_picture(path: Path, mode: str = "L", **options: object) -> None:
    from PIL import Image

    pages = [Image.fromarray(page).convert(mode) for page in MASK]
    several = {"save_all": True, "append_images": pages[1:]} if path.suffix == ".tif" else {}
    pages[0].save(path, **several, **options)


def write_wide_png(path: Path) -> None:
    from PIL import Image

    Image.fromarray(MASK[0].astype(np.uint16) * 300).save(path)


def write_itk(path: Path) -> None:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(MASK), str(path), useCompression=True)


def write_dicom(path: Path) -> None:
    """One slice of a CT series, with the geometry that a series needs."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = CTImageStorage, "1.2.3.4", "CT"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.2"
    one.PatientID, one.PatientName, one.PatientBirthDate, one.PatientSex = "p", "a", "", ""
    one.StudyID, one.StudyDate, one.StudyTime, one.AccessionNumber = "", "", "", ""
    one.SeriesNumber = one.InstanceNumber = 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness = [1, 1], 1
    one.Rows, one.Columns = MASK.shape[1:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 1
    one.RescaleSlope, one.RescaleIntercept = 1, 0
    one.PixelData = MASK[0].astype("<i2").tobytes()
    one.save_as(path, enforce_file_format=True)


FORMATS = {
    "nifti": Format("a.nii", write_nifti),
    "nifti-gz": Format("a.nii.gz", write_nifti),
    "nifti-scaled": Format("b.nii", write_scaled_nifti),
    "nifti2": Format("c.nii", write_nifti2),
    "png": Format("a.png", write_picture),
    "png-palette": Format("b.png", lambda path: write_picture(path, "P")),
    "png-colour": Format("c.png", lambda path: write_picture(path, "RGBA")),
    "png-16": Format("d.png", write_wide_png),
    "tiff": Format("a.tif", write_picture),
    "tiff-deflate": Format("b.tif", lambda path: write_picture(path, compression="tiff_adobe_deflate")),
    "tiff-lzw": Format("c.tif", lambda path: write_picture(path, compression="tiff_lzw")),
    "jpeg": Format("a.jpg", write_picture),
    "jpeg-colour": Format("b.jpg", lambda path: write_picture(path, "RGB", progressive=True)),
    "bmp": Format("a.bmp", write_picture),
    "nrrd": Format("a.nrrd", write_itk, "SimpleITK"),
    "mha": Format("a.mha", write_itk, "SimpleITK"),
    "dicom": Format("a.dcm", write_dicom, "highdicom"),
}
