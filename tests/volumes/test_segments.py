"""DICOM SEG in and out: highdicom, SimpleITK and dcmqi agree on every voxel."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import write_series

from adelecli.errors import CaseError, ConfigError
from adelecli.volumes.archiving import JPEG_LS, Segmentation, write_segments
from adelecli.volumes.cases import pair_cases
from adelecli.volumes.geometry import Geometry
from adelecli.volumes.reading import check_pair, read_geometry, read_labels
from adelecli.volumes.segments import find_references, read_segments
from adelecli.volumes.series import read_series_geometry
from adelecli.volumes.terminology import Code, Term, find_term, make_term, read_terminology

DCMQI = Path(__file__).parents[2] / ".." / "shared" / "data" / "dicom_seg_samples" / "dcmqi"
SHAPE = (4, 6, 5)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[1, 2:4, 1:3] = 1
LABELS[2, 1, 4] = 2
LABELS[2, 5, 0] = 7
NAMES = {0: "background", 1: "liver", 2: "spleen", 7: "rib"}
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    write_series(tmp_path / "images" / "p1", np.zeros(SHAPE, np.int16), orientation=OBLIQUE)
    return tmp_path / "images" / "p1"


def turn(labels: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Geometry]:
    """The same voxels at the same places on the canonical grid: what a converter to NIfTI might have made of them."""
    return np.ascontiguousarray(geometry.to_canonical(labels)), geometry.canonical


@pytest.mark.parametrize("binary", [False, True])
def test_labels_come_back_in_every_reader(tmp_path: Path, series: Path, binary: bool) -> None:
    """Written from a flipped grid of an oblique series; highdicom, pydicom and our own reader give the voxels back."""
    grid = read_series_geometry(series)
    labels, geometry = turn(LABELS, grid)
    write_segments(tmp_path / "s.dcm", labels, geometry, series, Segmentation(NAMES, binary=binary))
    expected = np.where(LABELS == 7, 3, LABELS) if binary else LABELS
    dataset = pydicom.dcmread(tmp_path / "s.dcm")
    assert dataset.SegmentationType == ("BINARY" if binary else "LABELMAP")
    assert dataset.file_meta.TransferSyntaxUID == ("1.2.840.10008.1.2.1" if binary else JPEG_LS)
    theirs = highdicom.seg.segread(tmp_path / "s.dcm").get_volume(combine_segments=True)
    images = [pydicom.dcmread(path) for path in series.iterdir()]
    source = highdicom.get_volume_from_series(images)
    np.testing.assert_array_equal(theirs.match_geometry(source).array, expected)
    ours = read_labels(tmp_path / "s.dcm", onto=series)
    np.testing.assert_array_equal(ours.array, expected)
    assert ours.geometry.describe_difference(grid, 0.0) is None
    if not binary:  # frame by frame, without highdicom: pixel data at positions
        frames = dataset.pixel_array
        places = [
            int(np.argmin([np.abs(np.subtract(one.ImagePositionPatient, place)).sum() for one in images]))
            for place in (
                f.PlanePositionSequence[0].ImagePositionPatient for f in dataset.PerFrameFunctionalGroupsSequence
            )
        ]
        order = [int(np.round(np.linalg.solve(source.affine, [*images[k].ImagePositionPatient, 1])[0])) for k in places]
        np.testing.assert_array_equal(frames, LABELS[order])


def test_what_the_file_says_about_itself(tmp_path: Path, series: Path) -> None:
    """References to every instance, patient and frame of the source; names, algorithm and model of the segments."""
    described = Segmentation(NAMES, model_sha256="ab" * 32)
    write_segments(tmp_path / "s.dcm", LABELS, read_series_geometry(series), series, described)
    dataset, source = pydicom.dcmread(tmp_path / "s.dcm"), pydicom.dcmread(next(series.iterdir()))
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset.get(name) == source.get(name)
    item = dataset.ReferencedSeriesSequence[0]
    assert item.SeriesInstanceUID == source.SeriesInstanceUID
    referred = {one.ReferencedSOPInstanceUID for one in item.ReferencedInstanceSequence}
    assert referred == {pydicom.dcmread(path).SOPInstanceUID for path in series.iterdir()}
    assert find_references(tmp_path / "s.dcm") == (str(source.SeriesInstanceUID),)
    names = {int(one.SegmentNumber): one.SegmentLabel for one in dataset.SegmentSequence if one.SegmentNumber}
    assert names == {1: "liver", 2: "spleen", 7: "rib"}
    liver = next(one for one in dataset.SegmentSequence if one.SegmentLabel == "liver")
    algorithm = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmParameters) == ("adele", f"model_sha256={'ab' * 32}")
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "liver"


def test_original_labels_do_not_claim_an_author(tmp_path: Path, series: Path) -> None:
    """Nobody knows who drew them, and the file says that."""
    write_segments(tmp_path / "s.dcm", LABELS, read_series_geometry(series), series, Segmentation(NAMES, original=True))
    segment = pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence[1]
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "unknown"


@pytest.mark.parametrize("binary", [False, True])
def test_a_mask_without_labels_is_a_result_too(tmp_path: Path, series: Path, binary: bool) -> None:
    """All background: written, and read back as all background."""
    empty = np.zeros(SHAPE, np.uint8)
    write_segments(tmp_path / "s.dcm", empty, read_series_geometry(series), series, Segmentation(NAMES, binary=binary))
    np.testing.assert_array_equal(read_labels(tmp_path / "s.dcm", onto=series).array, empty)


def test_what_does_not_lie_on_the_series_is_refused(tmp_path: Path, series: Path) -> None:
    """Half a voxel away, outside, or an id without a name."""
    grid = read_series_geometry(series)
    shifted = Geometry(grid.shape, grid.affine + np.eye(4)[:, [3]] * 0, "nifti")
    shifted.affine[:3, 3] += 0.3
    with pytest.raises(CaseError, match="does not lie on the grid of"):
        write_segments(tmp_path / "s.dcm", LABELS, shifted, series, Segmentation(NAMES))
    with pytest.raises(CaseError, match=r"labels without a name \(\[7\]\)"):
        write_segments(tmp_path / "s.dcm", LABELS, grid, series, Segmentation({1: "liver", 2: "spleen"}))
    assert not (tmp_path / "s.dcm").exists()


def test_segmentations_pair_by_name_or_by_reference(tmp_path: Path, series: Path) -> None:
    """The name of the image, or any name and the reference; a name and a reference that contradict each other are refused."""
    write_series(tmp_path / "images" / "p2", np.zeros(SHAPE, np.int16))
    masks = tmp_path / "masks"
    for name in ("p1.dcm", "export_0815.dcm"):
        write_segments(masks / name, LABELS, read_series_geometry(series), series, Segmentation(NAMES))
        pairing = pair_cases(masks)
        assert [(case.id, case.images, case.mask) for case in pairing.cases] == [("p1", (series,), masks / name)]
        check_pair(read_geometry(series), read_labels(masks / name, onto=series).geometry, pairing.cases[0])
        (masks / name).unlink()
    write_segments(masks / "p2.dcm", LABELS, read_series_geometry(series), series, Segmentation(NAMES))
    write_segments(masks / "p1.dcm", LABELS, read_series_geometry(series), series, Segmentation(NAMES))
    pairing = pair_cases(masks)
    assert [case.id for case in pairing.cases] == ["p1"]
    assert "p2 (refers to p1)" in str(pairing.faults[0][1])


def test_terms_come_from_a_dcmqi_file(tmp_path: Path, series: Path) -> None:
    """By name, else by number, else general; what is not such a file is refused with its place."""
    code = lambda value: {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": f"m{value}"}  # noqa: E731
    segment = {"labelID": 1, "SegmentLabel": "liver", "SegmentedPropertyCategoryCodeSequence": code("1")}
    segment["SegmentedPropertyTypeCodeSequence"] = code("10200004")
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"segmentAttributes": [[segment]]}))
    terms = read_terminology(path)
    liver = Term(Code("1", "SCT", "m1"), Code("10200004", "SCT", "m10200004"))
    assert (find_term(terms, 9, "liver"), find_term(terms, 1, "other")) == (liver, liver)
    assert find_term(terms, 2, "spleen") == make_term(2, "spleen")
    write_segments(tmp_path / "s.dcm", LABELS, read_series_geometry(series), series, Segmentation(NAMES, terms))
    written = pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0]
    assert (written.CodeValue, written.CodingSchemeDesignator) == ("10200004", "SCT")
    del segment["SegmentedPropertyTypeCodeSequence"]
    for content, fact in (
        ("{", "is not JSON"),
        ("{}", "has no segmentAttributes"),
        ('{"segmentAttributes": [[{}]]}', r"segmentAttributes\[0\] has no labelID"),
        (json.dumps({"segmentAttributes": [[segment]]}), r"segmentAttributes\[0\]\.SegmentedPropertyType.* is no code"),
    ):
        path.write_text(content)
        with pytest.raises(ConfigError, match=fact):
            read_terminology(path)


@pytest.mark.skipif(not DCMQI.is_dir(), reason="shared/data/dicom_seg_samples is not here")
@pytest.mark.parametrize(
    ("name", "twin", "series"),
    [("liver.dcm", "liver_seg.nrrd", "ct-3slice"), ("sparse-labelmap-ppv5.dcm", "sparse_labelmap_ppv5_seg.nrrd", None)],
)
def test_files_of_dcmqi_are_read_as_dcmqi_reads_them(name: str, twin: str, series: str | None) -> None:
    """A BINARY SEG with its CT, and a sparse LABELMAP in which 5 is padding."""
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(DCMQI / twin)))
    ours = read_labels(DCMQI / name, onto=DCMQI / series if series else None)
    np.testing.assert_array_equal(ours.geometry.to_canonical(ours.array), ours_canonical(DCMQI / twin, theirs == 1))


def ours_canonical(path: Path, array: np.ndarray) -> np.ndarray:
    return read_geometry(path).to_canonical(array.astype(np.uint8))


@pytest.mark.skipif(not DCMQI.is_dir(), reason="shared/data/dicom_seg_samples is not here")
def test_overlapping_segments_are_refused() -> None:
    """A voxel of two segments has no label."""
    with pytest.raises(CaseError, match="its segments overlap"):
        read_segments(DCMQI / "partial_overlaps.dcm")
