"""NRRD, MHA and MHD, through SimpleITK (extra ``itk``).

ITK's world is LPS and its axes are (x, y, z); ours is RAS. Never used for DICOM: its series reader takes a series with a
missing slice (formats.md). A header can point at other files and promise any size, so both are looked at first.
"""

from __future__ import annotations

import math
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError, OutputError
from adelecli.scratch import cut_slabs, let_go
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.extras import load_extra
from adelecli.volumes.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adelecli.scratch import Allocate

ENDINGS = (".nrrd", ".mha", ".mhd")
WRITABLE = (".nrrd", ".mha")
_RATIO = 1100  # deflate cannot expand more than 1032 times
_HEADER = 1 << 16
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path, allocate: Allocate = np.empty) -> tuple[npt.NDArray[Any], Geometry]:
    """Read voxels [C, Z, Y, X] in their native dtype and their frame; CaseError for what is damaged, complex or 4D."""
    sitk, reader = _open(path)
    geometry = _make_geometry(reader, path)
    with _refuse_itk_damage(path):
        image = reader.Execute()
        array = sitk.GetArrayViewFromImage(image)
        channels = reader.GetNumberOfComponents()
        voxels = np.asarray(array).reshape(*geometry.shape, channels)
        copied = allocate((channels, *geometry.shape), voxels.dtype)
        for number in range(channels):
            for part in cut_slabs(copied[number]):
                copied[number][part] = voxels[part][..., number]
                let_go(copied)
        return copied, geometry


def read_itk_geometry(path: Path) -> Geometry:
    """Read the frame of a volume from its header alone."""
    return _make_geometry(_open(path)[1], path)


def find_data_file(path: Path) -> Path | None:
    """The file with the voxels that an ``.mhd`` (or an NRRD header) names beside itself; None when it holds them itself.

    Raises CaseError when that is a list, or a file elsewhere: a header must not make us read what the user did not name.
    """
    with refuse_damage(path, "an image header"), path.open("rb") as file:
        lines = file.read(_HEADER).split(b"\n")
    keys = (b"elementdatafile", b"data file", b"datafile")
    for line in lines:
        separator = b"=" if b"=" in line else b":"
        key, _, value = line.partition(separator)
        if key.strip().lower() not in keys:
            continue
        name = value.strip().decode("utf-8", "replace")
        if name.upper() in {"LOCAL", "INTERNAL"} and path.suffix.lower() != ".mhd":
            return None
        data = (
            path.with_name(name) if name and "/" not in name and "\\" not in name and name not in {".", ".."} else path
        )
        if data == path or not data.is_file() or data.is_symlink():
            raise CaseError(f"its voxels are not in a file beside it ({name[:80]!r})", path=path, remedy="use one file")
        return data
    return None


def write_itk(path: Path, array: npt.NDArray[Any], geometry: Geometry) -> None:
    """Write one map [Z, Y, X] as NRRD or MHA (gzip inside); OutputError when the disk says no."""
    sitk = load_extra("SimpleITK", "itk", path)
    affine = _LPS_TO_RAS @ geometry.affine
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing([float(size) for size in sizes])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    image.SetDirection([float(value) for value in (affine[:3, :3] / sizes).reshape(-1)])
    with _name_beside(path) as beside:
        try:
            sitk.WriteImage(image, str(beside), True)
        except RuntimeError as error:
            raise OutputError("cannot be written", path=path, remedy="check the disk, or write .nii.gz") from error


@contextmanager
def _name_beside(path: Path) -> Iterator[Path]:
    """A hidden name beside ``path`` with the same ending (ITK chooses the format by it), which takes its place at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _open(path: Path) -> tuple[Any, Any]:
    sitk = load_extra("SimpleITK", "itk", path)
    if not path.is_file():
        raise CaseError("there is no such file", path=path)
    data = find_data_file(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with _refuse_itk_damage(path):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NrrdImageIO" if path.suffix.lower() == ".nrrd" else "MetaImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
            raise CaseError("holds complex numbers", path=path, remedy="save it as real channels")
        count = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
        if count > _RATIO * (data or path).stat().st_size:
            fact = "is shorter than its header says (truncated)"
            raise CaseError(fact, path=path, remedy="copy it again from its source")
    return sitk, reader


def _make_geometry(reader: Any, path: Path) -> Geometry:
    sizes = [int(size) for size in reader.GetSize()]
    count = len(sizes)
    if count not in {2, 3}:
        raise CaseError(f"has {count} axes", path=path, remedy="save each volume as a file of its own")
    affine = np.eye(4)
    affine[:count, :count] = np.array(reader.GetDirection()).reshape(count, count) * np.array(reader.GetSpacing())
    affine[:count, 3] = reader.GetOrigin()
    affine = _LPS_TO_RAS @ affine
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() == 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise CaseError("its directions are singular or not finite", path=path, remedy="correct its header")
    x, y, z = (*sizes, 1)[:3]
    return Geometry((z, y, x), affine, "nifti")


@contextmanager
def _refuse_itk_damage(path: Path) -> Iterator[None]:
    with refuse_damage(path, "NRRD or MetaImage"):
        try:
            yield
        except RuntimeError as error:  # ITK has one exception; its last line says what was wrong
            reason = str(error).strip().rpartition("\n")[2][-160:]
            raise CaseError(f"cannot be read as NRRD or MetaImage ({reason})", path=path) from error
