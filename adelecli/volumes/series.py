"""DICOM files into series, and a series into an array with its geometry.

A folder of DICOM says nothing by its names; only the headers do. Files are grouped by SeriesInstanceUID, ordered by
position, and refused unless they are one regular volume: a missing, doubled, shifted or tilted slice makes every
volume measured on it wrong, and readers that only warn are why (formats.md). highdicom judges the positions. No tag
value but UIDs, sizes and positions is ever put into a message: the others can name a patient.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import warnings
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError, InputError
from adelecli.scratch import let_go
from adelecli.volumes.damage import refuse_damage
from adelecli.volumes.extras import load_extra
from adelecli.volumes.geometry import Geometry
from adelecli.volumes.listing import is_dicom, list_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adelecli.scratch import Allocate

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
_SEGMENTATIONS = frozenset({SEGMENTATION, LABELMAP})
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EXACT = 1 << 24  # integers up to here are exact in float32
_WHAT = "a DICOM series"


def group_series(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """What the DICOM files ``paths`` of ``folder`` are: ``folder/<SeriesInstanceUID>`` a series, and each segmentation itself.

    Raises InputError when pydicom is not installed; a file that cannot be read stands for itself and fails later.
    """
    found: dict[Path, None] = {}
    for path in paths:
        try:
            header = read_header(path, ["SOPClassUID", "SeriesInstanceUID"])
        except CaseError as error:
            if error.__cause__ is not None and isinstance(error.__cause__, ImportError):
                raise InputError(error.fact, path=folder, remedy=error.remedy) from error
            found[path] = None
            continue
        uid = str(header.get("SeriesInstanceUID", ""))
        alone = str(header.get("SOPClassUID", "")) in _SEGMENTATIONS
        found[path if alone else folder / uid] = None  # a blank UID leaves the folder, which then is one series
    return list(found)


def list_series(path: Path) -> list[Path]:
    """The files of the series that ``path`` names: a file, a folder with one series, or ``folder/<SeriesInstanceUID>``."""
    path = Path(path)
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else path.parent
    groups: dict[str, list[Path]] = defaultdict(list)
    if folder.is_dir():
        for one in list_folder(folder):
            if one.is_file() and is_dicom(one):
                groups[str(read_header(one, ["SeriesInstanceUID"]).get("SeriesInstanceUID", ""))].append(one)
    if not path.is_dir():
        if path.name not in groups:
            raise CaseError("there is no such file or series", path=path)
        return groups[path.name]
    if len(groups) != 1:
        fact = f"holds {len(groups)} series ({', '.join(sorted(groups)[:3])})" if groups else "holds no DICOM files"
        raise CaseError(fact, path=path, remedy="give every series a folder of its own, or put all of them into one")
    return next(iter(groups.values()))


def read_header(path: Path, tags: Sequence[str] | None = None) -> Any:
    """The data set of a DICOM file without its pixels, or only some ``tags`` of it; CaseError when it is damaged."""
    pydicom = load_extra("pydicom", "dicom", path)
    with refuse_dicom_damage(path):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=None if tags is None else list(tags))
        for name in (
            "SOPClassUID",
            "SOPInstanceUID",
        ):  # some programs blank them to hide the patient, but not their copies
            if (tags is None or name in tags) and not header.get(name):
                setattr(header, name, header.file_meta.get(f"MediaStorage{name}", ""))
        return header


def read_series(path: Path, allocate: Allocate = np.empty) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a series (or one multi-frame file) as an image [1, Z, Y, X] in modality units, for instance Hounsfield.

    The values are int16 or int32 where every slope and intercept is a whole number, else float32. One slice is held
    beside the array that ``allocate`` makes. Raises CaseError unless the files are one regular, upright volume of grey values.
    """
    with refuse_dicom_damage(path):  # elements are decoded when they are looked at
        files, headers = _read_headers(path)
        if len(files) == 1 and _count_frames(headers[0]) > 1:
            return _read_frames(files[0])
        order, geometry = _order_slices(path, headers)
        dtype = _choose_dtype(headers)
    pydicom = load_extra("pydicom", "dicom", path)
    array = allocate((1, *geometry.shape), dtype)
    for target, number in zip(array[0], order, strict=True):
        with refuse_dicom_damage(files[number]):
            dataset = pydicom.dcmread(files[number])
            _check_length(dataset, files[number])
            target[...] = load_extra("pydicom.pixels", "dicom").apply_modality_lut(dataset.pixel_array, dataset)
            let_go(array)
    return array, geometry


def read_series_geometry(path: Path) -> Geometry:
    """Read where the voxels of a series lie from its headers; errors as `read_series`."""
    with refuse_dicom_damage(path):
        files, headers = _read_headers(path)
        if len(files) == 1 and _count_frames(headers[0]) > 1:
            volume = load_extra("highdicom", "dicom", path).imread(files[0], lazy_frame_retrieval=True)
            return make_geometry(_demand(volume.get_volume_geometry(), path))
        return _order_slices(path, headers)[1]


def make_geometry(volume: Any) -> Geometry:
    """The frame of a highdicom volume (or volume geometry), whose axes are (slice, row, column) and whose world is LPS."""
    z, y, x = (int(size) for size in volume.spatial_shape)
    return Geometry((z, y, x), _LPS_TO_RAS @ np.asarray(volume.affine, np.float64)[:, [2, 1, 0, 3]], "nifti")


def make_volume_affine(geometry: Geometry) -> npt.NDArray[np.float64]:
    """The affine of `make_geometry` the other way: from (slice, row, column) to LPS millimetres."""
    return np.asarray((_LPS_TO_RAS @ geometry.affine)[:, [2, 1, 0, 3]])


@contextmanager
def refuse_dicom_damage(path: Path) -> Iterator[None]:
    """As `refuse_damage`, for pydicom and highdicom, which also raise attribute errors and warn about other people's files."""
    errors = load_extra("pydicom.errors", "dicom", path)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values, which may be a patient's
    # highdicom keeps its frames in an SQL table, and checks some of what it reads by assertions
    damage: tuple[type[Exception], ...] = (AttributeError, RuntimeError, AssertionError, sqlite3.Error)
    damage += (errors.InvalidDicomError, errors.BytesLengthException, NotImplementedError)
    with refuse_damage(path, _WHAT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except damage as error:
            raise CaseError(f"cannot be read as {_WHAT} ({str(error)[:200]})", path=path) from error


def _read_headers(path: Path) -> tuple[list[Path], list[Any]]:
    files = list_series(path)
    headers = [read_header(one) for one in files]
    if str(headers[0].get("SOPClassUID", "")) in _SEGMENTATIONS:
        raise CaseError("is a segmentation, not an image", path=path, remedy="put it with the masks")
    if any(int(header.get("SamplesPerPixel", 1)) != 1 for header in headers):
        raise CaseError("holds colour images", path=path, remedy="export grey values")
    return files, headers


def _order_slices(path: Path, headers: Sequence[Any]) -> tuple[list[int], Geometry]:
    """The numbers of the files in slice order, and the grid; the checks are those of highdicom's `get_volume_from_series`."""
    highdicom, spatial = load_extra("highdicom", "dicom", path), load_extra("highdicom.spatial", "dicom", path)
    with refuse_dicom_damage(path):
        first = headers[0]
        for name in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "FrameOfReferenceUID"):
            if any(header.get(name) != first.get(name) for header in headers):
                raise CaseError(f"its files differ in {name}", path=path, remedy="export the series again")
        spacing, positions = _find_thickness(first), [0]
        if len(headers) > 1:
            spacing, positions = spatial.get_series_volume_positions(headers)
            if spacing is None:
                fact = f"its {len(headers)} slices are no regular volume (missing, doubled, shifted or tilted slices)"
                raise CaseError(fact, path=path, remedy="export the series again, without gantry tilt")
        order = [positions.index(number) for number in range(len(headers))]
        start = headers[order[0]]
        volume = highdicom.VolumeGeometry.from_attributes(
            image_position=start.ImagePositionPatient,
            image_orientation=start.ImageOrientationPatient,
            rows=start.Rows,
            columns=start.Columns,
            pixel_spacing=start.PixelSpacing,
            spacing_between_slices=spacing,
            number_of_frames=len(headers),
            coordinate_system="PATIENT",
        )
        return order, make_geometry(volume)


def _find_thickness(header: Any) -> float:
    return float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0)


def _choose_dtype(headers: Sequence[Any]) -> np.dtype[Any]:
    low, high = 0.0, 0.0
    for header in headers:
        slope, shift = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
        if not slope.is_integer() or not shift.is_integer() or "ModalityLUTSequence" in header:
            return np.dtype(np.float32)
        bits, signed = int(header.BitsStored), int(header.get("PixelRepresentation", 0)) == 1
        ends = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        low, high = min(low, *(slope * end + shift for end in ends)), max(high, *(slope * end + shift for end in ends))
    return np.dtype(np.int16 if low >= -32768 and high <= 32767 else np.int32 if high < 2**31 else np.float32)


def _check_length(dataset: Any, path: Path) -> None:
    # Absurd sizes are refused before memory is asked for; compressed pixels cannot be judged by their length.
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    needed = math.prod((int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8 or 1))
    if len(dataset.PixelData) < needed:
        raise CaseError("is shorter than its header says (truncated)", path=path, remedy="copy it again")


def _count_frames(header: Any) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _read_frames(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    highdicom = load_extra("highdicom", "dicom", path)
    with refuse_dicom_damage(path):
        image = highdicom.imread(path)
        volume = _demand(image, path).get_volume(
            dtype=np.float64, apply_real_world_transform=False, apply_presentation_lut=False
        )
        array = np.asarray(volume.array)
        whole = bool((np.rint(array) == array).all()) and float(np.abs(array).max()) < _EXACT
        fits = whole and array.min() >= -32768 and array.max() <= 32767
        return array.astype(np.int16 if fits else np.int32 if whole else np.float32)[None], make_geometry(volume)


def _demand(volume: Any, path: Path) -> Any:
    if volume is None:
        raise CaseError("its frames are no regular volume", path=path, remedy="export the series again")
    return volume
