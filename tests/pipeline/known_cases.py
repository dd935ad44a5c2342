"""A data set whose right correction is known voxel by voxel: the model says that an intensity *is* a class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

SPACING = (2.5, 0.5, 1.0)  # z, y, x


@dataclass(frozen=True)
class Data:
    """A folder with images/ and masks/, and a model beside them."""

    root: Path
    model: Path

    @property
    def masks(self) -> Path:
        return self.root / "masks"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def out(self) -> Path:
        return self.root / "cleaned.zarr"

    def add(
        self, name: str, *, mask: np.ndarray | None = None, image: np.ndarray | None = None, codes: str = "RAS"
    ) -> None:
        """Write a case given on the canonical grid [z, y, x] as files that run to ``codes``."""
        write_nifti(self.images / f"{name}.nii.gz", make_truth().astype(np.float32) if image is None else image, codes)
        write_nifti(self.masks / f"{name}.nii.gz", make_noisy() if mask is None else mask, codes)


def make_truth() -> np.ndarray:
    """Two boxes, classes 1 and 2, in slices 1..4 of a canonical volume [6, 12, 10]; nothing is symmetric."""
    truth = np.zeros((6, 12, 10), np.uint8)
    truth[1:5, 2:8, 1:5] = 1
    truth[1:5, 3:6, 6:9] = 2
    return truth


def make_noisy() -> np.ndarray:
    """The truth with class 1 one column too narrow and class 2 one row too long."""
    noisy = make_truth()
    noisy[:, :, 4][noisy[:, :, 4] == 1] = 0
    noisy[1:5, 6, 6:9] = 2
    return noisy


def canonical_affine() -> np.ndarray:
    return np.array([[SPACING[2], 0, 0, -20.0], [0, SPACING[1], 0, 7.0], [0, 0, SPACING[0], 100.0], [0, 0, 0, 1]])


def write_nifti(path: Path, array: np.ndarray, codes: str = "RAS") -> None:
    """Write a canonical array [z, y, x] so that the file's axes run to ``codes``, with units and a sform code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array.T, canonical_affine())
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    image = image.as_reoriented(turn)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"made by a test"
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    nib.save(image, path)


def read_canonical(path: Path) -> np.ndarray:
    """A file read by nibabel alone, as a canonical array [z, y, x]."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj).T
