"""Labels as DICOM SEG, for archives and viewers that speak nothing else.

What must hold: the segments lie on the frames of the series they were drawn on, name its instances, and carry its
patient, study and frame of reference; label ids are segment numbers; another program reads back the same voxels.
LABELMAP (one value a voxel) is the default because it is a hundred times smaller than BINARY (one bit a voxel and
segment), which older viewers need.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adelecli.errors import CaseError
from adelecli.replacement import open_beside
from adelecli.version import __version__
from adelecli.volumes.extras import load_extra
from adelecli.volumes.segments import place_volume
from adelecli.volumes.series import list_series, make_volume_affine, read_header, read_series_geometry
from adelecli.volumes.terminology import find_term

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.terminology import Term

JPEG_LS, UNCOMPRESSED = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"
SERIES_NUMBER = 9000


@dataclass(frozen=True)
class Segmentation:
    """What a SEG says about its segments: their names by id, codes, how they were made, and by which model.

    ``original`` labels are those from before any correction: adele does not know who drew them, and says so.
    """

    names: Mapping[int, str]
    terms: Mapping[int | str, Term] = field(default_factory=dict)
    original: bool = False
    model_sha256: str | None = None
    binary: bool = False


def write_segments(
    path: Path, labels: npt.NDArray[Any], geometry: Geometry, series: Path, described: Segmentation
) -> None:
    """Write label ids [Z, Y, X] on ``geometry`` as a SEG that refers to the images of ``series``.

    BINARY numbers segments 1, 2, ... in the order of their ids, as the standard wants; LABELMAP keeps the ids. Raises
    CaseError when the labels do not lie on the grid of the series or hold an id without a name, OutputError when the
    disk says no.
    """
    highdicom, seg = load_extra("highdicom", "dicom", path), load_extra("highdicom.seg", "dicom", path)
    numbers = sorted(number for number in described.names if number)
    found = [int(number) for number in np.unique(labels) if number]
    if not set(found) <= set(numbers) or not numbers:
        raise CaseError(f"holds labels without a name ({sorted(set(found) - set(numbers))[:5]})", path=path)
    volume = highdicom.Volume(np.ascontiguousarray(labels), make_volume_affine(geometry), "PATIENT")
    goal = read_series_geometry(series)
    grid = highdicom.VolumeGeometry(make_volume_affine(goal), goal.shape, "PATIENT")
    placed = place_volume(volume, grid)
    if not placed.geometry_equal(grid, tol=1e-3):
        difference = geometry.describe_difference(goal) or "labelled voxels lie outside it"
        raise CaseError(
            f"does not lie on the grid of {series}: {difference}", path=path, remedy="name the right --images"
        )
    if described.binary:
        lookup = np.zeros(max(numbers) + 1, np.uint8 if len(numbers) < 256 else np.uint16)
        lookup[numbers] = np.arange(1, len(numbers) + 1)
        placed = placed.with_array(lookup[placed.array])
    segments = [
        _describe(number, place if described.binary else number, described)
        for place, number in enumerate(numbers, start=1)
    ]
    headers = [read_header(one) for one in list_series(series)]
    if not all(header.get(name) for header in headers for name in ("StudyInstanceUID", "SeriesInstanceUID")):
        raise CaseError("has no study or series UID that a segmentation could refer to", path=series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom warns of an all-empty mask, which is a result like any other
        dataset = seg.Segmentation(
            source_images=headers,
            pixel_array=placed,
            segmentation_type="BINARY" if described.binary else "LABELMAP",
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="adele",
            manufacturer_model_name="adele",
            software_versions=__version__,
            device_serial_number="0",
            content_description="labels before correction" if described.original else "labels after correction",
            content_label="ORIGINAL" if described.original else "CORRECTED",
            transfer_syntax_uid=UNCOMPRESSED if described.binary else choose_syntax(),
            omit_empty_frames=described.binary,
        )
    with open_beside(path) as file:
        dataset.save_as(file, enforce_file_format=True)


def choose_syntax() -> str:
    """The transfer syntax of a LABELMAP: JPEG-LS where its codec is installed, else uncompressed."""
    try:
        load_extra("jpeg_ls", "dicom")
    except CaseError:
        return UNCOMPRESSED
    return JPEG_LS


def _describe(label: int, number: int, described: Segmentation) -> Any:
    seg, highdicom = load_extra("highdicom.seg", "dicom"), load_extra("highdicom", "dicom")
    codes = load_extra("pydicom.sr.codedict", "dicom").codes
    coded = load_extra("highdicom.sr", "dicom").CodedConcept
    name = described.names[label]
    term = find_term(described.terms, label, name)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="unknown" if described.original else "adele",
        family=codes.cid7162.ArtificialIntelligence,
        version="unknown" if described.original else __version__,
        parameters=None
        if described.model_sha256 is None or described.original
        else {"model_sha256": described.model_sha256},
    )
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=coded(term.category.value, term.category.scheme, term.category.meaning),
        segmented_property_type=coded(term.type.value, term.type.scheme, term.type.meaning),
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=algorithm,
    )
