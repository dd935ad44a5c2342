"""DICOM SEG as masks: segment numbers as label ids, on the grid of the image that the segments were drawn on.

A SEG leaves out frames without any segment, may list them in any order and may run the other way than the image does.
So read alone it has the extent of what was drawn; placed on the image it has the image's grid again. The way is
highdicom's `match_geometry` (transpose, flip, pad; nothing is resampled), and no labelled voxel may be lost on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError
from adelecli.volumes.extras import load_extra
from adelecli.volumes.geometry import TOLERANCE_MM, Geometry
from adelecli.volumes.series import (
    LABELMAP,
    SEGMENTATION,
    list_series,
    make_geometry,
    make_volume_affine,
    read_header,
    refuse_dicom_damage,
)

if TYPE_CHECKING:
    from pathlib import Path


def read_segments(path: Path, onto: Geometry | None = None) -> tuple[npt.NDArray[Any], Geometry]:
    """Read a SEG (BINARY or LABELMAP) as label ids [Z, Y, X], placed on the grid ``onto`` where it lies on it.

    Raises CaseError for fractional or overlapping segments, and for frames that are no regular volume.
    """
    file = _find_file(path)
    highdicom, seg = load_extra("highdicom", "dicom", path), load_extra("highdicom.seg", "dicom", path)
    with refuse_dicom_damage(path):
        segmentation = seg.segread(file)
        if segmentation.segmentation_type.value == "FRACTIONAL":
            raise CaseError("holds fractions, not labels", path=path, remedy="export it as BINARY or LABELMAP")
        if not segmentation.segment_numbers and segmentation.segmentation_type.value != "LABELMAP":
            raise CaseError("holds no segments", path=path)
        if segmentation.get_volume_geometry() is None:
            raise CaseError("its frames are no regular volume", path=path, remedy="export it again")
        volume = _combine(segmentation, path)
        if onto is not None:
            grid = highdicom.VolumeGeometry(make_volume_affine(onto), onto.shape, "PATIENT")
            volume = place_volume(volume, grid)
        geometry = make_geometry(volume)
    array = np.asarray(volume.array)
    if onto is not None and geometry.describe_difference(onto, TOLERANCE_MM) is None:
        geometry = Geometry(onto.shape, onto.affine, "nifti")
    return array, geometry


def find_references(path: Path) -> tuple[str, ...]:
    """The SeriesInstanceUIDs of the images that a SEG was drawn on; none where it names none, or is no SEG."""
    header = read_header(_find_file(path), ["SOPClassUID", "ReferencedSeriesSequence"])
    if str(header.get("SOPClassUID", "")) not in {SEGMENTATION, LABELMAP}:
        return ()
    return tuple(str(item.SeriesInstanceUID) for item in header.get("ReferencedSeriesSequence", ()))


def _find_file(path: Path) -> Path:
    files = list_series(path)
    if len(files) != 1:
        fact = f"holds {len(files)} files, but a segmentation is one"
        raise CaseError(fact, path=path, remedy="leave the segmentation alone in its folder")
    return files[0]


def _combine(segmentation: Any, path: Path) -> Any:
    numbers = list(segmentation.segment_numbers)
    try:
        return segmentation.get_volume(
            combine_segments=True, dtype=np.uint16 if max(numbers, default=0) > 255 else np.uint8
        )
    except RuntimeError as error:
        if "overlap" not in str(error).lower():
            raise
        remedy = "export the segments without overlap, or as one file each"
        raise CaseError("its segments overlap, so a voxel has no single label", path=path, remedy=remedy) from error


def place_volume(volume: Any, grid: Any) -> Any:
    """``volume`` on ``grid``; itself where it does not lie on it, or would lose a labelled voxel."""
    try:
        placed = volume.match_geometry(grid, tol=TOLERANCE_MM / 10)
    except (RuntimeError, ValueError):  # what highdicom raises when the lattices differ
        return volume
    return placed if np.count_nonzero(placed.array) == np.count_nonzero(volume.array) else volume
