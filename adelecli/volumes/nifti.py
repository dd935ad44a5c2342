"""NIfTI-1 and NIfTI-2 single files: header, voxels and frame in; the very same header out.

nibabel knows the header's fields and the affine; this module adds what a clinic needs on top. The raw header bytes
travel with the frame, so a result differs from its source in the voxels and in what must describe them (data type,
scale), and in nothing else. A gzip stream is read to its end, because only there stands the checksum that tells a
damaged copy from a good one. A header may promise anything, so sizes are compared with the file before memory is asked
for.
"""

from __future__ import annotations

import gzip
import logging
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError
from adelecli.scratch import cut_slabs, let_go
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.geometry import TOLERANCE_MM, Geometry
from adelecli.volumes.limits import check_claim

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from adelecli.scratch import Allocate

_SIZES = (348, 540)  # sizeof_hdr of NIfTI-1 and NIfTI-2
_MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\032\n")}
_MILLIMETRES = {1: 1000.0, 3: 0.001}  # xyzt_units: metre, micron; 2 is mm; 0 (unknown) is read as mm everywhere
_LARGEST_EXTENSION = 65536  # longer ones (embedded DICOM, XML) belong to the source and do not travel with a result
_GZIP_RATIO = 1100  # deflate cannot expand more than 1032 times
_CHUNK = 1 << 24
_LARGEST_REST = 1 << 28

# nibabel reports harmless header oddities through a logger that prints; a library must not.
_SILENT = logging.getLogger("adelecli.volumes.nifti")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def read_nifti(path: Path, allocate: Allocate = np.empty) -> tuple[npt.NDArray[Any], Geometry]:
    """Read voxels [..., Z, Y, X] in their native dtype (float32 where the header scales them) and their frame.

    ``allocate`` makes the array that they are read into; only a slab of it is held in memory beside.

    Raises CaseError for anything that is not a whole, real-valued, single-file NIfTI volume with an invertible affine.
    """
    with refuse_damage(path, "NIfTI"), _open_stream(path) as stream:
        header, raw = _read_header(stream, path)
        geometry = _make_geometry(header, raw, path)
        stored = _read_voxels(stream, header, path, allocate)
        return _scale(stored, header, allocate).T, geometry


def read_nifti_geometry(path: Path) -> Geometry:
    """Read the frame of a volume from its header alone."""
    with refuse_damage(path, "NIfTI"), _open_stream(path) as stream:
        header, raw = _read_header(stream, path)
        return _make_geometry(header, raw, path)


def encode_header(geometry: Geometry, dtype: np.dtype[Any]) -> tuple[bytes, np.dtype[Any]]:
    """Encode what precedes the voxels in a file of ``geometry`` and ``dtype``, and the byte order the voxels must have.

    A source header is kept but for the data type, an identity scale, and channel or time axes, which a single map
    lacks.
    """
    header, tail = _parse_header(geometry.header) if geometry.header else (_make_header(geometry), b"")
    if not _fits(header, geometry.shape):
        header.set_data_shape(geometry.shape[::-1])
    header.set_data_dtype(dtype)
    if not _is_identity(*_read_scale(header)):
        header["scl_slope"], header["scl_inter"] = 1, 0
    tail = tail or bytes(4)  # four zero bytes: no extension follows
    header["vox_offset"] = header.sizeof_hdr + len(tail)
    return header.binaryblock + tail, header.get_data_dtype()


def stored_dtype(geometry: Geometry) -> np.dtype[Any] | None:
    """The data type that the source header declares, in native byte order; None where there is no header."""
    if geometry.header is None:
        return None
    header, _ = _parse_header(geometry.header)
    dtype: np.dtype[Any] = np.dtype(header.get_data_dtype()).newbyteorder("=")
    return dtype


def list_concerns(geometry: Geometry) -> tuple[str, ...]:
    """Say what is usable but suspicious about a frame: sform and qform that disagree, shear, unknown units."""
    if geometry.header is None:
        return ()
    header, _ = _parse_header(geometry.header)
    _mend(header)
    concerns = []
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0:
        concerns += _compare_forms(header, geometry)
    directions = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    shear = float(np.abs(directions.T @ directions - np.eye(3)).max())
    concerns += [f"its axes are not at right angles (cosine {shear:.3g})"] if shear > 1e-3 else []
    concerns += ["its header names no unit; millimetres are assumed"] if not int(header["xyzt_units"]) & 7 else []
    return tuple(concerns)


def _compare_forms(header: Any, sform: Geometry) -> list[str]:
    from nibabel.spatialimages import HeaderDataError

    try:
        qform = Geometry(sform.shape, header.get_qform() * _find_unit(header))
    except (ValueError, HeaderDataError) as error:
        return [f"its qform is not valid ({error})"]
    difference = sform.describe_difference(qform, 10 * TOLERANCE_MM)  # float32 quaternions are not exact
    return [f"sform and qform disagree: {difference}"] if difference else []


@contextmanager
def _open_stream(path: Path) -> Iterator[io.BufferedIOBase]:
    # What the bytes say counts, not the ending: both mistakes (.nii that is gzip, .nii.gz that is not) are common.
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream


def _read_header(stream: io.BufferedIOBase, path: Path) -> tuple[Any, bytes]:
    start = stream.read(_SIZES[0])
    size = next((size for size in _SIZES if start[:4] in {size.to_bytes(4, "little"), size.to_bytes(4, "big")}), None)
    if size is None or len(start) < _SIZES[0]:
        raise CaseError("is not a NIfTI file", path=path, remedy="export it again, or remove it from the folder")
    raw = start + stream.read(size - len(start))
    place, magic = _MAGIC[size]
    if len(raw) < size:
        raise CaseError("ends inside its header (truncated)", path=path, remedy="copy it again from its source")
    if raw[place : place + len(magic)] != magic:
        raise CaseError(
            "is no single-file NIfTI (Analyze, or a .hdr/.img pair)", path=path, remedy="convert it to .nii.gz"
        )
    header, _ = _parse_header(raw)
    _mend(header)
    extra = _find_offset(header) - size
    if 4 < extra <= _LARGEST_EXTENSION:
        raw += stream.read(extra)
    return header, raw


def _parse_header(raw: bytes) -> tuple[Any, bytes]:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    order, size = ("<", int.from_bytes(raw[:4], "little"))
    if size not in _SIZES:
        order, size = (">", int.from_bytes(raw[:4], "big"))
    kind: Any = Nifti2Header if size == _SIZES[1] else Nifti1Header
    return kind(raw[:size], endianness=order, check=False), raw[size:]


def _mend(header: Any) -> None:
    # In memory only: qfac 0, negative voxel sizes and the like get the meaning every reader gives them, or are refused.
    header.check_fix(logger=_SILENT, error_level=40)


def _find_offset(header: Any) -> int:
    return max(int(header["vox_offset"]), int(header.sizeof_hdr) + 4)


def _make_geometry(header: Any, raw: bytes, path: Path) -> Geometry:
    shape = tuple(int(size) for size in header.get_data_shape())
    if len(shape) < 2 or min(shape) < 1:
        raise CaseError(f"has the shape {shape}, which is no volume", path=path, remedy="export it again")
    x, y, z = (*shape, 1)[:3]
    affine = np.array(header.get_best_affine(), np.float64)
    affine[:3] *= _find_unit(header)[:3]
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() == 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise CaseError("its affine is singular or not finite", path=path, remedy="correct its sform or qform")
    return Geometry((z, y, x), affine, "nifti", raw)


def _find_unit(header: Any) -> npt.NDArray[np.float64]:
    scale = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return np.array([[scale], [scale], [scale], [1.0]])


def _read_voxels(stream: io.BufferedIOBase, header: Any, path: Path, allocate: Allocate) -> npt.NDArray[Any]:
    dtype, shape = np.dtype(header.get_data_dtype()), header.get_data_shape()
    if dtype.kind not in "iuf":
        raise CaseError(
            f"holds {dtype} voxels, not real numbers", path=path, remedy="save it as one or more real channels"
        )
    offset, count = _find_offset(header), math.prod(int(size) for size in shape)
    size = path.stat().st_size * (_GZIP_RATIO if isinstance(stream, gzip.GzipFile) else 1)
    if offset + count * dtype.itemsize > size:
        raise CaseError(
            "is shorter than its header says (truncated)", path=path, remedy="copy it again from its source"
        )
    check_claim(path, count * max(dtype.itemsize, 4))  # scaled voxels become float32
    stream.seek(offset)
    flat = allocate((count,), dtype)
    view = flat.view(np.uint8).data
    done = 0
    while done < len(view):  # in pieces: gzip would hold a second copy of one large read
        got = stream.readinto(view[done : done + _CHUNK])
        if not got:
            raise CaseError("ends before its last voxel (truncated)", path=path, remedy="copy it again from its source")
        done += got
        let_go(flat)
    _read_to_end(stream, path)
    if not dtype.isnative:
        for part in cut_slabs(flat):
            flat[part].byteswap(inplace=True)
            let_go(flat)
        flat = flat.view(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F")


def _read_to_end(stream: io.BufferedIOBase, path: Path) -> None:
    """Read on behind the last voxel: the gzip checksum stands behind the last byte, padding included."""
    rest = 0
    while part := stream.read(_CHUNK):
        rest += len(part)
        if rest > _LARGEST_REST:  # a small file can unpack for hours
            raise CaseError("goes on behind its last voxel", path=path, remedy="restore it from its source")


def _scale(stored: npt.NDArray[Any], header: Any, allocate: Allocate) -> npt.NDArray[Any]:
    from nibabel.volumeutils import apply_read_scaling

    slope, inter = header.get_slope_inter()
    if _is_identity(slope, inter):
        return stored.astype(np.float64) if stored.dtype.itemsize > 8 else stored
    scaled = allocate((stored.size,), np.dtype(np.float32))
    flat = stored.reshape(-1, order="F")
    for part in cut_slabs(
        scaled
    ):  # the precision of the product depends on the type alone, so parts give the same values
        scaled[part] = apply_read_scaling(flat[part], slope, inter)
        let_go(scaled, stored)
    return scaled.reshape(stored.shape, order="F")


def _read_scale(header: Any) -> tuple[float | None, float | None]:
    from nibabel.spatialimages import HeaderDataError

    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError:  # a valid slope with an invalid intercept: to be replaced
        return math.nan, None
    return slope, inter


def _is_identity(slope: float | None, inter: float | None) -> bool:
    return slope in {None, 1.0} and inter in {None, 0.0}


def _fits(header: Any, shape: tuple[int, int, int]) -> bool:
    dims = tuple(int(size) for size in header.get_data_shape())
    return (*dims, 1, 1)[:3] == shape[::-1] and math.prod(dims) == math.prod(shape)


def _make_header(geometry: Geometry) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind: Any = Nifti1Header if max(geometry.shape) < 2**15 else Nifti2Header
    header = kind()
    header.set_data_shape(geometry.shape[::-1])
    header.set_qform(geometry.affine, code="scanner", strip_shears=True)
    header.set_sform(geometry.affine, code="scanner")
    header.set_xyzt_units("mm" if geometry.kind == "nifti" else "unknown")
    return header
