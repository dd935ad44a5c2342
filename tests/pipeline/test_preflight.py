"""``check``: what a run would find and take, told before it is started, with nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from known_cases import make_noisy, make_truth
from tiny_models import make_contract, make_model

from adelecli.errors import InputError, ModelError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.preflight import check
from adelecli.runtime.contract import Intensity


def list_tree(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_sound_data_set_is_described_and_nothing_is_written(two_cases) -> None:
    """Pairing, grid, histogram, slices to ask about, and estimates that a model and a probe give."""
    before = list_tree(two_cases.root.parent)
    checkup = check(two_cases.masks, model=two_cases.model, device="cpu")
    assert list_tree(two_cases.root.parent) == before
    first = checkup.cases[0]
    assert (first.id, first.shape, first.spacing_mm, first.axes) == ("a", (6, 12, 10), (2.5, 0.5, 1.0), "RAS")
    assert (first.slices, first.open_slices, first.error, first.concerns) == (6, 4, None, ())
    counts = np.bincount(make_noisy().ravel())
    assert first.labels == {str(number): int(count) for number, count in enumerate(counts)}
    assert checkup.labels == {number: 2 * count for number, count in first.labels.items()}
    assert checkup.names == {"0": "background", "1": "class 1", "2": "class 2"}
    assert checkup.exit_code == 0
    assert checkup.estimate.seconds is not None
    assert checkup.estimate.seconds_per_slice > 0
    assert checkup.estimate.memory_mb > 10
    assert checkup.estimate.disk_mb == 1
    assert checkup.machinery.device == "cpu"
    assert checkup.machinery.onnxruntime
    assert json.loads(checkup.to_json())["cases"][1]["id"] == "b"


def test_a_black_and_white_mask_is_a_concern(two_cases, monkeypatch) -> None:
    """0 and 255 only: usable, but nothing in it will change, and that is said; with or without a model."""
    two_cases.add("c", mask=(make_noisy() > 0).astype(np.uint8) * np.uint8(255))
    monkeypatch.chdir(two_cases.masks)  # no ./weights here
    for model in (two_cases.model, None):
        case = check(two_cases.masks, model=model).cases[2]
        assert case.concerns == (
            "its only label is 255, which means not annotated: nothing in it can be learnt or corrected",
        )
        assert (case.open_slices == 0, case.error) == (model is not None, None)


def test_the_slices_to_ask_about_are_those_that_the_run_asks_about(two_cases) -> None:
    """The estimate counts what the rule leaves open, as the report of the run does."""
    (case, _) = check(two_cases.masks, model=two_cases.model).cases
    (record, _) = correct(two_cases.masks, out=two_cases.out, model=two_cases.model).cases
    assert (case.slices, case.open_slices) == (record.slices, record.slices - record.skipped_slices)


def test_faults_are_those_of_a_run(two_cases) -> None:
    """A mask of another shape, an unknown label, a mask without image: each named, code 3 as the run's."""
    two_cases.add("c", mask=np.full_like(make_noisy(), 7))
    two_cases.add("d", mask=make_noisy()[:-1])
    two_cases.add("e")
    (two_cases.images / "e.nii.gz").unlink()
    (two_cases.images / "spare.nii.gz").write_bytes(b"")
    checkup = check(two_cases.masks, model=two_cases.model)
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert [case.error for case in checkup.cases] == [case.error for case in report.cases]
    assert [bool(case.error) for case in checkup.cases] == [False, False, True, True, True]
    assert checkup.exit_code == report.exit_code == 3
    assert any("spare.nii.gz: has no mask" in notice for notice in checkup.notices)
    only = check(two_cases.masks, model=two_cases.model, cases=["c"])
    assert (len(only.cases), only.exit_code, only.estimate.seconds) == (1, 7, None)


def test_channels_are_held_to_one_grid(data, monkeypatch) -> None:
    """A second channel on another grid fails here as it would fail in the run, whether or not a model is there."""
    data.add("a")
    (data.images / "a.nii.gz").rename(data.images / "a_0000.nii.gz")
    data.add("b", image=np.zeros((5, 12, 10), np.float32))
    (data.images / "b.nii.gz").rename(data.images / "a_0001.nii.gz")
    (data.masks / "b.nii.gz").unlink()
    monkeypatch.chdir(data.root)  # where no model lies
    checkup = check(data.masks)
    assert "does not lie on the grid of" in str(checkup.cases[0].error)
    assert checkup.exit_code == 7
    make_model(data.model, make_contract(channels=(Intensity(kind="fixed"),) * 2, channel_names=("T1", "T2")))
    checkup, report = check(data.masks, model=data.model), correct(data.masks, out=data.out, model=data.model)
    assert "does not lie on the grid of" in str(checkup.cases[0].error)
    assert [case.error for case in checkup.cases] == [case.error for case in report.cases]
    assert report.exit_code == 7


def test_a_channel_that_is_missing_is_told_as_by_a_run(two_cases) -> None:
    """A model of two channels, and one case with two files, one with both in one file, one with a single one."""
    make_model(two_cases.model, make_contract(channels=(Intensity(kind="fixed"),) * 2, channel_names=("T1", "T2")))
    two_cases.add("c")
    image = nib.load(two_cases.images / "a.nii.gz")
    nib.save(image, two_cases.images / "a_0001.nii.gz")
    both = np.stack([image.get_fdata()] * 2, axis=-1).astype(np.float32)
    nib.save(nib.Nifti1Image(both, image.affine, image.header), two_cases.images / "b.nii.gz")
    (two_cases.images / "a.nii.gz").rename(two_cases.images / "a_0000.nii.gz")
    checkup = check(two_cases.masks, model=two_cases.model, device="cpu")
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert [case.error for case in checkup.cases] == [case.error for case in report.cases]
    assert [case.error is None for case in checkup.cases] == [True, True, False]
    assert "c.nii.gz: has 1 channels, the model takes 2" in checkup.cases[2].error
    assert checkup.exit_code == report.exit_code == 3


def test_more_channels_than_the_model_takes_are_told_as_by_a_run(two_cases, monkeypatch) -> None:
    """Files `_0000` and `_0001` for a model of one channel: every case of the run would fail."""
    for case in ("a", "b"):
        image = next(two_cases.images.glob(f"{case}.*"))
        shutil.copy(image, two_cases.images / image.name.replace(case, f"{case}_0000"))
        image.rename(two_cases.images / image.name.replace(case, f"{case}_0001"))
    checkup = check(two_cases.masks, model=two_cases.model, device="cpu")
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert "a_0000.nii.gz: has 2 channels, the model takes 1; give image in this order" in checkup.cases[0].error
    assert [case.error for case in checkup.cases] == [case.error for case in report.cases]
    assert checkup.exit_code == report.exit_code == 7
    monkeypatch.chdir(two_cases.masks)  # no ./weights here, so no model says how many there should be
    assert check(two_cases.masks, device="cpu").exit_code == 0


def test_without_a_model_labels_are_counted_and_time_is_not_told(two_cases) -> None:
    """A model is optional; that none was found is said. One that is named must be there (6)."""
    two_cases.model.unlink()
    two_cases.add("c", mask=np.full_like(make_noisy(), 7))
    checkup = check(two_cases.masks)
    assert checkup.exit_code == 0
    assert checkup.cases[2].labels == {"7": 720}
    assert (checkup.cases[0].open_slices, checkup.estimate.seconds, checkup.estimate.memory_mb) == (4, None, None)
    assert "no model" in checkup.notices[0]
    with pytest.raises(ModelError, match="no such model"):
        check(two_cases.masks, model="absent.onnx")


def test_suspicious_geometry_is_reported(two_cases) -> None:
    """Shear and a qform that contradicts the sform are usable, and said, of mask and image."""
    for folder in (two_cases.images, two_cases.masks):
        image = nib.load(folder / "a.nii.gz")
        affine = image.affine.copy()
        affine[0, 1] = 0.3
        image.set_sform(affine, 1)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), folder / "a.nii.gz")
    checkup = check(two_cases.masks, model=two_cases.model)
    concerns = checkup.cases[0].concerns
    assert any("not at right angles" in one for one in concerns)
    assert any("sform and qform disagree" in one for one in concerns)
    assert any(one.startswith("image: ") for one in concerns)
    assert checkup.cases[0].error is None


def test_nothing_that_pairs_is_no_input(two_cases) -> None:
    """Code 7, as for a run."""
    for image in two_cases.images.iterdir():
        image.unlink()
    (two_cases.images / "z.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="none of its 2 masks has a usable image"):
        check(two_cases.masks)


def test_a_full_disk_is_foreseen(two_cases, monkeypatch) -> None:
    """What the store needs is held to what is free where it would lie."""
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("adelecli.pipeline.estimation.shutil.disk_usage", lambda _: usage)
    checkup = check(two_cases.masks, model=two_cases.model, out=two_cases.root / "new" / "store.zarr")
    assert "0 MB are free; name a larger disk" in checkup.notices[-1]


def test_both_packages_of_onnxruntime_are_named(two_cases, monkeypatch) -> None:
    """They overwrite each other; the repair is part of the answer."""
    monkeypatch.setattr("adelecli.runtime.devices.find_packages", lambda: ("onnxruntime", "onnxruntime-gpu"))
    machinery = check(two_cases.masks, model=two_cases.model, device="cpu").machinery
    assert machinery.packages == ("onnxruntime", "onnxruntime-gpu")
    assert "pip uninstall" in str(machinery.problem)


def test_pictures_have_no_millimetres(data) -> None:
    """A PNG is one slice without spacing or axes."""
    from PIL import Image

    for folder in (data.images, data.masks):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_truth()[2]).save(folder / "p.png")
    (case,) = check(data.masks, model=data.model).cases
    assert (case.shape, case.spacing_mm, case.axes, case.open_slices) == ((1, 12, 10), None, None, 1)
