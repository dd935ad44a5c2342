"""Every format in, every label back out: whole runs on the data set whose right correction is known."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import zarr
from dicom_files import write_series
from known_cases import SPACING, canonical_affine, make_noisy, make_truth, read_canonical
from scipy.spatial.transform import Rotation

from adelecli.errors import ConfigError
from adelecli.intake.formats import hash_input
from adelecli.pipeline.comparison import evaluate
from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.pipeline.preflight import check
from adelecli.pipeline.verification import verify
from adelecli.store import foreign, remote
from adelecli.volumes.archiving import Segmentation, write_segments
from adelecli.volumes.geometry import Geometry
from adelecli.volumes.series import read_series_geometry

CODES = ["".join(sides) for axes in permutations(("LR", "PA", "IS")) for sides in product(*axes)]
NAMES = {1: "one", 2: "two"}


def write_zarr(path: Path, array: np.ndarray, *, steps: tuple[float, ...] = SPACING) -> None:
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": list(steps)}]}
    group = zarr.open_group(str(path), mode="w")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [dataset]}]}
    group.create_array("0", data=array)


def write_dicom(folder: Path, array: np.ndarray, **options: object) -> None:
    """A canonical array as an axial series: LPS rows, the values as they are."""
    write_series(folder, array[:, ::-1, ::-1], intercept=0, spacing=SPACING, **options)


@pytest.mark.parametrize("codes", [["LPS"], pytest.param(CODES, marks=pytest.mark.slow)], ids=["one", "all"])
def test_a_correction_lands_on_the_right_voxel_of_every_grid(data, tmp_path, codes) -> None:
    """All 48 orientation codes and 8 oblique grids in one run: the files come back with the truth at each voxel's place.

    What is compared is made by nibabel alone: a volume is reoriented before it is written and after it is read.
    """
    truth, noisy, image = make_truth(), make_noisy(), make_truth().astype(np.float32)
    for code in codes:
        data.add(code, codes=code)
    for number, code in enumerate(codes[::6]):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("xyz", [9 + number, -7, 20 - 3 * number], degrees=True).as_matrix()
        for folder, array in ((data.images, image), (data.masks, noisy)):
            plain = nib.Nifti1Image(array.T, turn @ canonical_affine())
            orientation = nib.orientations.axcodes2ornt(tuple(code))
            nib.save(plain.as_reoriented(nib.orientations.ornt_transform(
                nib.orientations.io_orientation(plain.affine), orientation)), folder / f"oblique_{code}.nii.gz")  # fmt: skip
    report = correct(data.masks, out=data.out, model=data.model)
    assert {case.status for case in report.cases} == {"corrected"}
    assert len(report.cases) == len(codes) + len(codes[::6])
    convert(data.out, out=tmp_path / "back")
    for case in report.cases:
        written, source = nib.load(tmp_path / "back" / f"{case.id}.nii.gz"), nib.load(data.masks / f"{case.id}.nii.gz")
        assert written.header.binaryblock == source.header.binaryblock
        np.testing.assert_array_equal(read_canonical(tmp_path / "back" / f"{case.id}.nii.gz"), truth)


def test_several_formats_in_one_folder(data, tmp_path) -> None:
    """NIfTI, NRRD, MHA, OME-Zarr and DICOM side by side, each mask in the format of another; all corrected to the truth."""
    truth, noisy = make_truth(), make_noisy()
    data.add("nifti", codes="LPS")
    for name, ending in (("nrrd", ".nrrd"), ("mha", ".mha")):
        for folder, array in ((data.images, truth), (data.masks, noisy)):
            picture = sitk.GetImageFromArray(array)
            picture.SetSpacing(SPACING[::-1])
            sitk.WriteImage(picture, str(folder / f"{name}{ending}"))
    write_zarr(data.images / "z.ome.zarr", truth)
    write_zarr(data.masks / "z.zarr", noisy)
    write_dicom(data.images / "scan", truth)
    grid = read_series_geometry(data.images / "scan").canonical
    image = nib.Nifti1Image(noisy.T, grid.affine)
    nib.save(image, data.masks / "scan.nii.gz")
    report = correct(data.masks, out=data.out, model=data.model)
    assert [(case.id, case.status, case.error) for case in report.cases] == [
        (name, "corrected", None) for name in ("mha", "nifti", "nrrd", "scan", "z")
    ]
    convert(data.out, out=tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        *("labels.json", "mha.mha", "nifti.nii.gz", "nrrd.nrrd", "scan.nii.gz", "z.nii.gz")
    ]
    for name in ("nifti.nii.gz", "scan.nii.gz", "z.nii.gz"):
        np.testing.assert_array_equal(read_canonical(tmp_path / "back" / name), truth)
    for name in ("nrrd.nrrd", "mha.mha"):
        source, back = (sitk.ReadImage(str(folder / name)) for folder in (data.masks, tmp_path / "back"))
        assert (source.GetSpacing(), source.GetOrigin(), source.GetDirection()) == (
            *(back.GetSpacing(), back.GetOrigin(), back.GetDirection()),
        )


@pytest.mark.parametrize("binary", [False, True])
def test_segmentations_go_in_and_come_back_out(data, tmp_path, binary) -> None:
    """A DICOM SEG corrected on its CT and written as SEG again; what highdicom reads back lies on the CT and is the truth."""
    data.masks.mkdir(parents=True)
    write_dicom(data.images / "p1", make_truth())
    geometry = read_series_geometry(data.images / "p1")
    noisy = geometry.from_canonical(make_noisy())
    write_segments(data.masks / "any_name.dcm", noisy, geometry, data.images / "p1", Segmentation(NAMES, binary=binary))
    report = correct(data.masks, out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("p1", "corrected")]
    assert [(case.error, case.shape) for case in check(data.masks, model=data.model).cases] == [(None, (6, 12, 10))]
    found = verify(data.out, masks=data.masks, images=data.images)
    assert (found.findings, found.sources) == ((), 1)
    (data.masks / "any_name.dcm").rename(data.masks / "p1.dcm")
    assert verify(data.out, masks=data.masks).findings == ()
    convert(data.out, out=tmp_path / "back", images=data.images, binary=binary)
    written = highdicom.seg.segread(tmp_path / "back" / "p1.dcm")
    assert written.segmentation_type.value == ("BINARY" if binary else "LABELMAP")
    source = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in (data.images / "p1").iterdir()])
    volume = written.get_volume(combine_segments=True).match_geometry(source)
    np.testing.assert_array_equal(geometry.to_canonical(volume.array), make_truth())
    parameters = written.SegmentSequence[-1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert parameters == f"model_sha256={hash_input(data.model)}"
    if not binary:  # read alone, a BINARY file has the extent of what was drawn and not that of the image
        assert evaluate(tmp_path / "back", data.out).dice == 1


def test_change_maps_and_terms_go_into_segmentations(data, tmp_path) -> None:
    """``--which change`` on the series, codes from a terminology file; a case without a series fails alone."""
    write_dicom(data.images / "p1", make_truth())
    image = nib.Nifti1Image(make_noisy().T, read_series_geometry(data.images / "p1").canonical.affine)
    data.masks.mkdir()
    nib.save(image, data.masks / "p1.nii.gz")
    data.add("other")
    correct(data.masks, out=data.out, model=data.model)
    code = {"CodeValue": "1", "CodingSchemeDesignator": "99X", "CodeMeaning": "grown"}
    attributes = {"labelID": 1, "SegmentLabel": "added", "SegmentedPropertyCategoryCodeSequence": code}
    attributes["SegmentedPropertyTypeCodeSequence"] = code
    (tmp_path / "t.json").write_text(json.dumps({"segmentAttributes": [[attributes]]}))
    conversion = convert(
        *(data.out,), out=tmp_path / "back", which="change", format="dicom-seg", images=data.images,
        terminology=tmp_path / "t.json",
    )  # fmt: skip
    assert conversion.exit_code == 3
    assert "has no DICOM series" in conversion.cases[0].error
    segments = {one.SegmentLabel: one for one in pydicom.dcmread(tmp_path / "back" / "p1.dcm").SegmentSequence}
    assert {"added", "removed", "relabelled"} <= segments.keys()
    assert segments["added"].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "grown"


def test_nifti_can_become_nrrd_and_mha(data, tmp_path) -> None:
    """The voxels and the places, also of a confidence map."""
    data.add("a", codes="PIR")
    correct(data.masks, out=data.out, model=data.model, confidence_maps=True)
    for form in ("nrrd", "mha"):
        convert(data.out, out=tmp_path / form, format=form)
        image = sitk.ReadImage(str(tmp_path / form / f"a.{form}"))
        source = nib.load(data.masks / "a.nii.gz")
        np.testing.assert_array_equal(np.array(image.TransformIndexToPhysicalPoint((1, 2, 3))) * (-1, -1, 1),
                                      (source.affine @ (1, 2, 3, 1))[:3])  # fmt: skip
        geometry = Geometry(sitk.GetArrayFromImage(image).shape, source.affine)
        np.testing.assert_array_equal(geometry.to_canonical(sitk.GetArrayFromImage(image)), make_truth())
    convert(data.out, out=tmp_path / "sure", which="confidence", format="nrrd")
    assert sitk.ReadImage(str(tmp_path / "sure" / "a.nrrd")).GetPixelIDTypeAsString() == "32-bit float"


def test_images_may_hold_their_labels_and_stores_may_be_corrected_again(data, tmp_path) -> None:
    """OME-Zarr with ``labels/`` serves as both sides; the original labels of a store are masks like any other."""
    write_zarr(data.root / "set" / "a.zarr", make_truth())
    zarr.open_group(str(data.root / "set" / "a.zarr")).create_group("labels").attrs["ome"] = {
        "version": "0.5", "labels": ["organ"],
    }  # fmt: skip
    write_zarr(data.root / "set" / "a.zarr" / "labels" / "organ", make_noisy())
    report = correct(data.root / "set", images=data.root / "set", out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("a", "corrected")]
    again = correct(
        data.out / "a" / "labels" / "original",
        images=data.root / "set" / "a.zarr",
        out=tmp_path / "b",
        model=data.model,
    )
    assert [case.status for case in again.cases] == ["corrected"]
    assert again.cases[0].hashes.result == report.cases[0].hashes.result
    resumed = correct(data.root / "set", images=data.root / "set", out=data.out, model=data.model, resume=True)
    assert resumed.cases[0].resumed


def test_addresses_are_corrected_too(data, tmp_path, monkeypatch) -> None:
    """Masks and images in a bucket (here in memory): listed, hashed, read and corrected."""
    from obstore.store import LocalStore
    from zarr.storage import ObjectStore

    write_zarr(tmp_path / "images" / "a.zarr", make_truth())
    write_zarr(tmp_path / "masks" / "a.zarr", make_noisy())

    def open_bucket(path: Path) -> LocalStore:
        return LocalStore(tmp_path / Path(*path.parts[2:]))

    monkeypatch.setattr(remote, "open_bucket", open_bucket)
    monkeypatch.setattr(foreign, "connect", lambda path: ObjectStore(open_bucket(path), read_only=True))
    report = correct("s3://bucket/masks", images="s3://bucket/images", out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("a", "corrected")]
    assert report.cases[0].hashes.mask == hash_input(tmp_path / "masks" / "a.zarr")


def test_options_of_archives_are_checked_before_anything_is_written(tmp_path) -> None:
    """Without images, with a confidence map, or for another format."""
    for options, fact in (
        ({"format": "dicom-seg"}, "needs the series"),
        ({"format": "dicom-seg", "images": "x", "which": "confidence"}, "no segmentation"),
        ({"format": "nrrd", "binary": True}, "about dicom-seg"),
    ):
        with pytest.raises(ConfigError, match=fact):
            convert(tmp_path, out=tmp_path / "o", **options)
