"""The one door from files to arrays, for every format.

What comes out is safe to compute with: images in the dtype of the file, labels as unsigned integers that are exactly
what the file holds. What is not certain is refused with the file, the fact and the place, as a ``CaseError``: a batch
goes on without that case. No rounding, no clipping and no resampling happen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError
from adelecli.scratch import cut_slabs, let_go
from adelecli.volumes.itk import ENDINGS as ITK_ENDINGS
from adelecli.volumes.itk import read_itk, read_itk_geometry
from adelecli.volumes.listing import is_dicom, is_series, is_zarr, split_name
from adelecli.volumes.nifti import read_nifti, read_nifti_geometry
from adelecli.volumes.rasters import read_indexed, read_picture, read_picture_geometry
from adelecli.volumes.segments import read_segments
from adelecli.volumes.series import read_series, read_series_geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adelecli.scratch import Allocate
    from adelecli.volumes.cases import Case
    from adelecli.volumes.geometry import Geometry

MAX_LABEL = 65535
Kind: TypeAlias = Literal["nifti", "raster", "itk", "dicom"]


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


def read_image(case: Case, allocate: Allocate = np.empty) -> Volume:
    """Read the channels of a case, in order; CaseError when a file is damaged or the channels' grids differ.

    ``allocate`` makes the arrays (see `scratch`); with a `Scratch` a volume needs no more memory than a slab of it.
    """
    return join_channels(case, [read_channels(path, allocate) for path in case.images], allocate)


def join_channels(case: Case, volumes: Sequence[Volume], allocate: Allocate = np.empty) -> Volume:
    """One image of the files of a case, in order; CaseError when they do not lie on one grid."""
    check_channels(case, [volume.geometry for volume in volumes])
    if len(volumes) == 1:
        return volumes[0]
    return Volume(_join_channels([volume.array for volume in volumes], allocate), volumes[0].geometry)


def check_channels(case: Case, geometries: Sequence[Geometry]) -> None:
    """Raise CaseError, naming both files, when the image files of a case, in order, do not lie on one grid."""
    for path, geometry in zip(case.images, geometries, strict=True):
        difference = geometries[0].describe_difference(geometry)
        if difference:
            fact = f"does not lie on the grid of {case.images[0]}: {difference}"
            raise CaseError(fact, path=path, remedy="resample it")


def read_labels(path: Path, allocate: Allocate = np.empty, *, onto: Path | Geometry | None = None) -> Labels:
    """Read a mask; CaseError for values that are no whole numbers in 0..65535, with the first value and its place.

    uint16 stays uint16; everything else becomes uint8 where its values fit, else uint16. ``allocate`` as in `read_image`.
    ``onto`` is the mask's image, or a grid: a DICOM SEG, which leaves out empty frames, is placed there.
    """
    path = Path(path)
    kind = find_kind(path)
    if kind == "raster":
        array, geometry = read_indexed(path)
    elif kind == "dicom":
        array, geometry = read_segments(path, read_geometry(onto) if isinstance(onto, Path) else onto)
    else:
        array, geometry = (read_nifti if kind == "nifti" else read_itk)(path, allocate)
    return to_labels(array, geometry, path, allocate)


def to_labels(array: npt.NDArray[Any], geometry: Geometry, path: Path, allocate: Allocate = np.empty) -> Labels:
    """Turn the voxels [..., Z, Y, X] of a mask, of any dtype, into labels; errors as `read_labels`."""
    if array.size != np.prod(geometry.shape):
        shape = "x".join(str(size) for size in reversed(array.shape))
        raise CaseError(f"has {array.ndim} axes ({shape}), not one label per voxel", path=path, remedy="split it")
    return Labels(_to_labels(array.reshape(geometry.shape), path, allocate), geometry)


def read_geometry(path: Path) -> Geometry:
    """Read where a file's voxels lie, from its header alone; CaseError when it is damaged."""
    path = Path(path)
    read = {
        "nifti": read_nifti_geometry,
        "raster": read_picture_geometry,
        "itk": read_itk_geometry,
        "dicom": read_series_geometry,
    }
    return read[find_kind(path)](path)


def find_kind(path: Path) -> Kind:
    """Which reader a path needs, by its ending or, without one, by what lies there; CaseError when there is none."""
    parts = split_name(path.name)
    if parts is not None:
        ending = parts[1].lower()
        if ending == ".dcm":
            return "dicom"
        return "nifti" if ending.startswith(".nii") else "itk" if ending in ITK_ENDINGS else "raster"
    if is_zarr(path):
        raise CaseError("is zarr, which this command does not read", path=path, remedy="convert it to .nii.gz first")
    if path.is_dir() or is_series(path) or is_dicom(path):
        return "dicom"
    expected = "use .nii.gz, .nii, .nrrd, .mha, .dcm, .png, .tif, .jpg or .bmp"
    raise CaseError("has an unknown ending", path=path, remedy=expected)


def check_pair(image: Geometry, labels: Geometry, case: Case) -> None:
    """Raise CaseError, naming both files, unless image and mask lie on one grid (0.01 mm at the farthest corner).

    Their axes may be in another order or run the other way, as they do when one came from DICOM and the other through a
    converter: what is compared then is the canonical grid, on which both are worked on.
    """
    difference = image.describe_difference(labels)
    if difference and (image.kind != labels.kind or image.canonical.describe_difference(labels.canonical)):
        raise CaseError(
            f"does not match its image {case.images[0] if case.images else case.id}: {difference}",
            path=case.mask,
            remedy="use the mask drawn on this image, or resample it onto the image's grid",
        )


def check_finite(image: npt.NDArray[Any], *, path: object = None) -> None:
    """Raise CaseError with the count when an image of any shape holds NaN or infinity."""
    if image.dtype.kind != "f":
        return
    bad = 0
    for channel in image if image.ndim > 3 else (image,):
        for part in cut_slabs(channel):
            bad += channel[part].size - int(np.count_nonzero(np.isfinite(channel[part])))
            let_go(channel)
    if bad:
        fact = f"{bad} of {image.size} voxels are NaN or infinite"
        raise CaseError(fact, path=path, remedy="mend the image or leave it out")


def read_channels(path: Path, allocate: Allocate = np.empty) -> Volume:
    """Read one file of an image with all channels that it holds; errors as `read_image`."""
    kind = find_kind(path)
    if kind == "raster":
        return Volume(*read_picture(path))
    if kind == "itk":
        return Volume(*read_itk(path, allocate))
    if kind == "dicom":
        return Volume(*read_series(path, allocate))
    array, geometry = read_nifti(path, allocate)
    channels = [size for size in array.shape[:-3] if size > 1]
    if len(channels) > 1:
        raise CaseError(f"has {array.ndim} axes, more than one of them beside x, y, z", path=path, remedy="split it")
    return Volume(array.reshape(*(channels or (1,)), *geometry.shape), geometry)


def _join_channels(volumes: Sequence[npt.NDArray[Any]], allocate: Allocate) -> npt.NDArray[Any]:
    shape = (sum(len(volume) for volume in volumes), *volumes[0].shape[1:])
    joined = allocate(shape, np.result_type(*volumes))
    channels = (channel for volume in volumes for channel in volume)
    for target, channel in zip(joined, channels, strict=True):
        for part in cut_slabs(channel):
            target[part] = channel[part]
            let_go(joined, channel)
    return joined


def _to_labels(
    array: npt.NDArray[Any], path: Path, allocate: Allocate
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    if array.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        return array
    if array.dtype.kind == "f":
        _refuse_values(array, _is_broken, "is not a whole number", path)
    _refuse_values(array, lambda part: (part < 0) | (part > MAX_LABEL), f"is outside 0..{MAX_LABEL}", path)
    largest = max(int(array[part].max()) for part in cut_slabs(array))
    labels = allocate(array.shape, np.dtype(np.uint8 if largest <= 255 else np.uint16))
    for part in cut_slabs(array):
        labels[part] = array[part].astype(labels.dtype)
        let_go(labels, array)
    return labels


def _is_broken(part: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # rounding a signalling NaN
        return np.asarray(~np.isfinite(part) | (np.rint(part) != part))  # infinity equals what it rounds to


def _refuse_values(
    array: npt.NDArray[Any], find_wrong: Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_]], fact: str, path: Path
) -> None:
    count, first = 0, None
    for part in cut_slabs(array):
        wrong = find_wrong(array[part])
        let_go(array)
        if first is None and wrong.any():
            z, *rest = np.unravel_index(int(wrong.argmax()), wrong.shape)
            first = (int(z) + part.start, *map(int, rest))
        count += int(np.count_nonzero(wrong))
    if first is None:
        return
    where = ", ".join(f"{axis}={index}" for axis, index in zip("zyx", first, strict=True))
    found = f"label {array[first].item()} at {where} {fact} ({count} such voxels)"
    raise CaseError(
        found, path=path, remedy="save the mask with integer labels, or, if this is an image, exchange masks and images"
    )
