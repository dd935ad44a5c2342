"""Data sets as they are unpacked, and files of many pages or series: corrected from end to end, each voxel in its place."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import nibabel as nib
import numpy as np
import pytest
from dicom_files import write_series
from known_cases import SPACING, make_noisy, make_truth, write_nifti
from PIL import Image, ImageSequence
from tiny_models import make_contract, make_model

from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.runtime.contract import Intensity
from adelecli.store.collection import open_store
from adelecli.volumes.series import read_series_geometry


def find_labels(out: Path) -> dict[str, np.ndarray]:
    store = open_store(out)
    return {case: store.read(case) for case in store.case_ids()}


def test_nnunet_with_two_channels(data) -> None:
    """Two files make one image, in the order of their numbers; the root may be named; test images are no cases."""
    low, high = (Intensity(kind="fixed"), Intensity(kind="fixed", mean=10.0))
    contract = msgspec.structs.replace(make_contract(), channels=(low, high), channel_names=("T1", "T2"))
    model = make_model(data.root / "two.onnx", contract)
    image = make_truth().astype(np.float32)
    for name in ("a", "b"):
        write_nifti(data.root / "labelsTr" / f"{name}.nii.gz", make_noisy())
        for channel, part in enumerate(
            (image, image + 10)
        ):  # right only if the second one's mean is taken from the second
            write_nifti(data.root / "imagesTr" / f"{name}_{channel:04d}.nii.gz", part)
            write_nifti(data.root / "imagesTs" / f"c_{channel:04d}.nii.gz", part)
    names = {"background": 0, "one": 1, "two": 2}
    (data.root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "labels": names}))
    report = correct(data.root, out=data.out, model=model)
    assert [(case.id, case.status) for case in report.cases] == [("a", "corrected"), ("b", "corrected")]
    for labels in find_labels(data.out).values():
        np.testing.assert_array_equal(labels, make_truth())


def test_decathlon_with_the_litter_of_its_archive(data) -> None:
    """``._`` files that its archives hold are passed over; an image without labels costs nothing."""
    for name in ("hippocampus_001", "hippocampus_002"):
        write_nifti(data.root / "imagesTr" / f"{name}.nii.gz", make_truth().astype(np.float32))
    write_nifti(data.root / "labelsTr" / "hippocampus_001.nii.gz", make_noisy())
    for folder in ("imagesTr", "labelsTr"):
        (data.root / folder / "._hippocampus_001.nii.gz").write_bytes(b"\0\5\x16\7")
    described = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (data.root / "dataset.json").write_text(json.dumps(described))
    report = correct(data.root / "labelsTr", out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("hippocampus_001", "corrected")]
    np.testing.assert_array_equal(find_labels(data.out)["hippocampus_001"], make_truth())


def test_voc_by_its_root_and_by_a_list(data) -> None:
    """Palette masks, JPEG images of one colour a block, 255 kept as it is; a list names its part of them."""
    truth = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((8, 8), np.uint8))  # blocks of JPEG, which keeps them
    noisy = truth.copy()
    noisy[1:4, 7], noisy[0, 0] = 1, 255
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (data.root / folder).mkdir(parents=True)
    for name in ("2007_000032", "2007_000039"):
        Image.fromarray(truth).save(data.root / "JPEGImages" / f"{name}.jpg", quality=100)
        mask = Image.fromarray(noisy, "P")
        mask.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
        mask.save(data.root / "SegmentationClass" / f"{name}.png")
    listed = data.root / "ImageSets" / "Segmentation" / "val.txt"
    listed.write_text("2007_000039\n")
    expected = truth.copy()
    expected[0, 0] = 255
    for place, ids in ((data.root, ["2007_000032", "2007_000039"]), (listed, ["2007_000039"])):
        report = correct(place, out=data.out, model=data.model, overwrite=data.out.exists())
        assert [(case.id, case.status) for case in report.cases] == [(name, "corrected") for name in ids]
        for labels in find_labels(data.out).values():
            np.testing.assert_array_equal(labels[0], expected)


def test_the_pages_of_a_tiff_are_slices_and_become_pages_again(data, tmp_path: Path) -> None:
    """Image and mask of six pages; the corrected mask is a TIFF of six pages."""
    for folder, array in ((data.images, make_truth()), (data.masks, make_noisy())):
        folder.mkdir(parents=True)
        pages = [Image.fromarray(page) for page in array]
        pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    report = correct(data.masks, out=data.out, model=data.model)
    assert [(case.id, case.status) for case in report.cases] == [("a", "corrected")]
    convert(data.out, out=tmp_path / "back")
    with Image.open(tmp_path / "back" / "a.tif") as written:
        back = np.array([np.asarray(page) for page in ImageSequence.Iterator(written)])
    np.testing.assert_array_equal(back, make_truth())


@pytest.mark.parametrize("apart", [True, False], ids=["folders", "mixed"])
def test_ct_and_mr_series_side_by_side(data, apart: bool) -> None:
    """In folders of their own, or all in one folder, where the SeriesInstanceUID is the case; MR with a scale of its own."""
    ids = {}
    for modality, slope in (("CT", 1.0), ("MR", 0.5)):
        stored = (make_truth()[:, ::-1, ::-1] / slope).astype(np.uint8)  # LPS rows
        scale = {"modality": modality, "prefix": modality, "slope": slope, "intercept": 0}
        folder = data.images / modality if apart else data.images
        uid = write_series(folder, stored, spacing=SPACING, **scale)
        ids[modality] = modality if apart else uid
    for name in ids.values():
        data.masks.mkdir(exist_ok=True)
        grid = read_series_geometry(data.images / name).canonical
        nib.save(nib.Nifti1Image(make_noisy().T, grid.affine), data.masks / f"{name}.nii.gz")
    report = correct(data.masks, out=data.out, model=data.model)
    assert [(case.id, case.status, case.error) for case in report.cases] == [
        (name, "corrected", None) for name in sorted(ids.values())
    ]
    for labels in find_labels(data.out).values():
        np.testing.assert_array_equal(labels, make_truth())
