"""From the trained network to the hospital: the exported file corrects as training did, through every command."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from conftest_training import Folders

import adelecli
from adelecli.pipeline.records import Report
from adelecli.training.exporter import ExportResult
from adelecli.training.trainer import TrainResult


@pytest.fixture(scope="module")
def report(exported: ExportResult, folders: Folders) -> Report:
    return adelecli.correct(
        folders.masks, out=folders.root / "cleaned.zarr", model=exported.path, device="cpu", max_change=1.0
    )


def test_correct_gives_the_labels_that_training_saw(report: Report, run: TrainResult, folders: Folders) -> None:
    """labels.zarr of the run (torch, at its end) and the store of `correct` (onnxruntime) hold the same corrected labels."""
    trained, cleaned = (
        adelecli.open_store(run.folder / "labels.zarr"),
        adelecli.open_store(folders.root / "cleaned.zarr"),
    )
    assert report.exit_code == 0
    changed = 0
    for case in trained.case_ids():
        assert np.array_equal(trained.read(case, "original"), cleaned.read(case, "original"))
        assert np.array_equal(trained.read(case, "corrected"), cleaned.read(case, "corrected"))
        changed += int(trained.case_record(case)["voxels_changed"])
    assert changed > 0


def test_the_store_verifies_and_converts_back_with_the_source_header(report: Report, folders: Folders) -> None:
    """Every hash holds; nibabel reads files whose header and affine equal the source masks', with the corrected voxels."""
    store = folders.root / "cleaned.zarr"
    assert adelecli.verify(store).exit_code == 0
    out = folders.root / "converted"
    adelecli.convert(store, out=out)
    for case in report.cases:
        source, made = nib.load(folders.masks / f"{case.id}.nii.gz"), nib.load(out / f"{case.id}.nii.gz")
        assert made.header.binaryblock == source.header.binaryblock
        assert np.array_equal(made.affine, source.affine)
        assert np.array_equal(np.asarray(made.dataobj).T, adelecli.open_store(store).read(case.id))


def test_evaluate_measures_what_was_gained(report: Report, folders: Folders) -> None:
    """The label error before is that of the masks, and the one after is smaller; the counts agree with the arrays."""
    scores = adelecli.evaluate(folders.root / "cleaned.zarr", folders.clean)
    assert scores.label_error is not None
    before = union = 0
    for case in report.cases:
        truth, noisy = (
            np.asarray(nib.load(folder / f"{case.id}.nii.gz").dataobj) for folder in (folders.clean, folders.masks)
        )
        before, union = before + int((truth != noisy).sum()), union + int(((truth > 0) | (noisy > 0)).sum())
    assert scores.label_error.error_before == pytest.approx(before / union, rel=1e-5)
    assert scores.label_error.error_after < scores.label_error.error_before  # type: ignore[operator]


def test_predict_segments_images_alone(exported: ExportResult, folders: Folders) -> None:
    """Without any mask the same model finds both shapes: Dice above .8 against the truth."""
    out = folders.root / "predicted.zarr"
    adelecli.predict(folders.images, out=out, model=exported.path, device="cpu")
    scores = adelecli.evaluate(out, folders.clean)
    assert all(score.dice is not None and score.dice > 0.8 for score in scores.classes)


def test_info_tells_what_each_thing_is(
    exported: ExportResult, run: TrainResult, folders: Folders, report: Report
) -> None:
    """A model, a run and a store are recognised and told apart."""
    kinds = [type(adelecli.info(path)).__name__ for path in (exported.path, run.folder, folders.root / "cleaned.zarr")]
    assert kinds == ["ModelDescription", "RunDescription", "StoreDescription"]
    assert adelecli.info(exported.path).sha256 == exported.sha256  # type: ignore[union-attr]
