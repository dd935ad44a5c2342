"""The one door from files to arrays, for every format.

What comes out is safe to compute with: images in the dtype of the file, labels as unsigned integers that are exactly
what the file holds. What is not certain is refused with the file, the fact and the place, as a ``CaseError``: a batch
goes on without that case. No rounding, no clipping and no resampling happen here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError
from adelecli.volumes.cases import Case, split_name
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.nifti import read_nifti, read_nifti_geometry
from adelecli.volumes.rasters import read_indexed, read_picture, read_picture_geometry

if TYPE_CHECKING:
    from adelecli.volumes.geometry import Geometry

MAX_LABEL = 65535


@dataclass(frozen=True, eq=False)
class Volume:
    """An image [C, Z, Y, X] on its source grid, in the dtype of its file (float32 where the file scales its values)."""

    array: npt.NDArray[Any]
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Labels:
    """Label ids [Z, Y, X], uint8 or uint16, on their source grid."""

    array: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    geometry: Geometry


def read_image(case: Case) -> Volume:
    """Read the channels of a case, in order; CaseError when a file is damaged or the channels' grids differ."""
    volumes = [_read_channels(path) for path in case.images]
    for path, volume in zip(case.images, volumes, strict=True):
        difference = volumes[0].geometry.describe_difference(volume.geometry)
        if difference:
            fact = f"does not lie on the grid of {case.images[0]}: {difference}"
            raise CaseError(fact, path=path, remedy="resample it")
    if len(volumes) == 1:
        return volumes[0]
    return Volume(np.concatenate([volume.array for volume in volumes]), volumes[0].geometry)


def read_labels(path: Path) -> Labels:
    """Read a mask; CaseError for values that are no whole numbers in 0..65535, with the first value and its place.

    uint16 stays uint16; everything else becomes uint8 where its values fit, else uint16.
    """
    path = Path(path)
    if not _is_nifti(path):
        array, geometry = read_indexed(path)
        return Labels(_to_labels(array, path), geometry)
    array, geometry = read_nifti(path)
    if array.size != np.prod(geometry.shape):
        shape = "x".join(str(size) for size in reversed(array.shape))
        raise CaseError(f"has {array.ndim} axes ({shape}), not one label per voxel", path=path, remedy="split it")
    return Labels(_to_labels(array.reshape(geometry.shape), path), geometry)


def read_geometry(path: Path) -> Geometry:
    """Read where a file's voxels lie, from its header alone; CaseError when it is damaged."""
    path = Path(path)
    return read_nifti_geometry(path) if _is_nifti(path) else read_picture_geometry(path)


def check_pair(image: Geometry, labels: Geometry, case: Case) -> None:
    """Raise CaseError, naming both files, unless image and mask lie on one grid (0.01 mm at the farthest corner)."""
    difference = image.describe_difference(labels)
    if difference:
        raise CaseError(
            f"does not match its image {case.images[0] if case.images else case.id}: {difference}",
            path=case.mask,
            remedy="use the mask drawn on this image, or resample it onto the image's grid",
        )


def check_finite(image: npt.NDArray[Any], *, path: object = None) -> None:
    """Raise CaseError with the count when an image of any shape holds NaN or infinity."""
    if image.dtype.kind != "f":
        return
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if bad:
        fact = f"{bad} of {image.size} voxels are NaN or infinite"
        raise CaseError(fact, path=path, remedy="mend the image or leave it out")


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes in hex, read as a stream."""
    path = Path(path)
    with refuse_damage(path, "a file"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_nifti(path: Path) -> bool:
    parts = split_name(path.name)
    if parts is None:
        raise CaseError("has an unknown ending", path=path, remedy="use .nii.gz, .nii, .png, .tif, .jpg or .bmp")
    return parts[1].lower().startswith(".nii")


def _read_channels(path: Path) -> Volume:
    if not _is_nifti(path):
        array, geometry = read_picture(path)
        return Volume(array, geometry)
    array, geometry = read_nifti(path)
    channels = [size for size in array.shape[:-3] if size > 1]
    if len(channels) > 1:
        raise CaseError(f"has {array.ndim} axes, more than one of them beside x, y, z", path=path, remedy="split it")
    return Volume(array.reshape(*(channels or (1,)), *geometry.shape), geometry)


def _to_labels(array: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    if array.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        return array
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # rounding a signalling NaN
            wrong = ~np.isfinite(array) | (np.rint(array) != array)  # infinity equals what it rounds to
        _refuse_values(array, wrong, "is not a whole number", path)
    _refuse_values(array, (array < 0) | (array > MAX_LABEL), f"is outside 0..{MAX_LABEL}", path)
    return array.astype(np.uint8) if int(array.max()) <= 255 else array.astype(np.uint16)


def _refuse_values(array: npt.NDArray[Any], wrong: npt.NDArray[np.bool_], fact: str, path: Path) -> None:
    if not wrong.any():
        return
    place = np.unravel_index(int(wrong.argmax()), array.shape)
    where = ", ".join(f"{axis}={int(index)}" for axis, index in zip("zyx", place, strict=True))
    count = int(np.count_nonzero(wrong))
    found = f"label {array[place].item()} at {where} {fact} ({count} such voxels)"
    raise CaseError(found, path=path, remedy="save the mask with integer labels")
