"""The one door from arrays to files: atomic, and in the source's own geometry.

A reader sees the old file or the new one, never a part (``replacement``). Labels stay integers from end to end, for a float
under an integer header corrupts them.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import OutputError
from adelecli.replacement import open_beside
from adelecli.volumes.itk import WRITABLE as ITK_WRITABLE
from adelecli.volumes.itk import write_itk
from adelecli.volumes.nifti import encode_header, stored_dtype

if TYPE_CHECKING:
    from adelecli.volumes.geometry import Geometry

_RASTERS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}


def write_labels(path: Path, labels: npt.NDArray[Any], geometry: Geometry) -> None:
    """Write label ids [Z, Y, X] of the source grid as .nii, .nii.gz, .nrrd, .mha, .png or .tif, by the ending of ``path``.

    NIfTI gets the header of ``geometry`` (byte-equal when the source was uint8 or uint16 and unscaled) and PNG 8 or 16
    bits. Raises OutputError when the values are no labels, the shape is not that of ``geometry``, or the disk says no.
    """
    path = Path(path)
    if labels.dtype.kind not in "biu" or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 65535):
        raise OutputError(f"{labels.dtype} values are not labels in 0..65535", path=path)
    dtype = np.dtype(np.uint8 if not labels.size or int(labels.max()) <= 255 else np.uint16)
    if stored_dtype(geometry) == np.uint16 and _is_nifti(path):
        dtype = np.dtype(np.uint16)
    _write(path, labels.astype(dtype, copy=False), geometry)


def write_image(path: Path, image: npt.NDArray[Any], geometry: Geometry) -> None:
    """Write one map [Z, Y, X] of the source grid, for instance the confidence.

    Integers keep their dtype; floats become float32 in NIfTI, NRRD and MHA and, taken as 0..1, grey values 0..255 in a raster. Raises
    OutputError as ``write_labels`` does.
    """
    path = Path(path)
    if image.dtype.kind == "f":
        image = image.astype(np.float32, copy=False) if _is_volume(path) else _to_grey(image)
    _write(path, image, geometry)


def _write(path: Path, array: npt.NDArray[Any], geometry: Geometry) -> None:
    if array.shape != geometry.shape:
        raise OutputError(f"an array of shape {array.shape} has no place on a grid of {geometry.shape}", path=path)
    if _is_nifti(path):
        _write_nifti(path, array, geometry)
    elif path.suffix.lower() in ITK_WRITABLE:
        write_itk(path, array, geometry)
    else:
        _write_raster(path, array)


def _write_nifti(path: Path, array: npt.NDArray[Any], geometry: Geometry) -> None:
    start, stored = encode_header(geometry, array.dtype)
    voxels = np.ascontiguousarray(array, stored)  # (z, y, x) in C order is the file's (x, y, z) in Fortran order
    with open_beside(path) as file:
        if not path.name.lower().endswith(".gz"):
            file.write(start)
            file.write(voxels.view(np.uint8).data)
            return
        # No name and no time in the gzip header: the same labels give the same bytes, and so the same hash.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
            stream.write(start)
            stream.write(voxels.view(np.uint8).data)


def _write_raster(path: Path, array: npt.NDArray[Any]) -> None:
    from PIL import Image

    kind = _RASTERS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            "has an ending that cannot be written", path=path, remedy="use .nii.gz, .nii, .nrrd, .mha, .png or .tif"
        )
    if array.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise OutputError(f"{array.dtype} values do not fit a picture", path=path, remedy="write .nii.gz instead")
    if kind == "PNG" and len(array) != 1:
        raise OutputError(f"{len(array)} slices do not fit a PNG", path=path, remedy="write .nii.gz or .tif instead")
    pages = [Image.fromarray(np.ascontiguousarray(page)) for page in array]
    with open_beside(path) as file:
        pages[0].save(file, kind, **({"save_all": True, "append_images": pages[1:]} if len(pages) > 1 else {}))


def _to_grey(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    grey: npt.NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    return grey


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _is_volume(path: Path) -> bool:
    return _is_nifti(path) or path.suffix.lower() in ITK_WRITABLE
