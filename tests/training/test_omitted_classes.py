"""A class hidden from some cases is found while the noise is measured, and given back by the run and by its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from conftest_training import SMALL, Folders, write_data

from adelecli.labels.excess import Omission
from adelecli.pipeline.correction import correct
from adelecli.store.collection import open_store
from adelecli.training.dataset import ROW, Slices
from adelecli.training.exporter import export
from adelecli.training.noisefile import read_noise
from adelecli.training.omissions import mark_unknown
from adelecli.training.plan import read_plan
from adelecli.training.trainer import TrainResult, train

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = ("case2", "case7")
DISC = 2
ASKED = (*SMALL, "noise.enabled=true", "noise.steps=80", "correction.restore=true", "data.val_share=0")


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Fourteen cases; two of them lack the disc altogether."""
    folders = write_data(tmp_path_factory.mktemp("lacking"), cases=14)
    for case in HIDDEN:
        path = folders.masks / f"{case}.nii.gz"
        image = nib.load(path)
        labels = np.asarray(image.dataobj).copy()
        labels[labels == DISC] = 0
        nib.save(nib.Nifti1Image(labels, image.affine), path)
    return folders


@pytest.fixture(scope="module")
def result(lacking: Folders) -> TrainResult:
    return train(lacking.masks, out=lacking.root / "runs", set=ASKED, epochs=6, seed=1, device="cpu")


def measure_disc(folders: Folders, case: str, labels: np.ndarray) -> float:
    """IoU of the disc with the truth."""
    truth = np.asarray(nib.load(folders.clean / f"{case}.nii.gz").dataobj).T == DISC
    return float(np.count_nonzero((labels == DISC) & truth) / np.count_nonzero((labels == DISC) | truth))


def test_the_measurement_finds_the_cases(result: TrainResult) -> None:
    """Both of them and no other, and the square is not missed anywhere."""
    noise = read_noise(result.folder)
    assert noise is not None
    assert [(one.case, one.index) for one in noise.omitted] == [(case, DISC) for case in HIDDEN]
    assert noise.restoration is not None
    assert noise.restoration.classes == {DISC}


def test_the_box_holds_what_was_left_out(lacking: Folders, result: TrainResult) -> None:
    """All of the true disc lies in it, and it is no more than the class with a margin."""
    noise = read_noise(result.folder)
    assert noise is not None
    plan = read_plan(result.folder)
    for one in noise.omitted:
        truth = np.asarray(nib.load(lacking.clean / f"{one.case}.nii.gz").dataobj) == DISC
        first, last, top, bottom, left, right = one.box
        canonical = np.moveaxis(truth, 2, 0).swapaxes(1, 2)  # [Z, Y, X] of a file that runs to RAS
        assert np.count_nonzero(canonical[first:last, top:bottom, left:right]) >= 0.9 * np.count_nonzero(truth)
        assert (bottom - top) * (right - left) < 0.6 * canonical[0].size
    assert {one.case for one in noise.omitted} <= set(plan.case_ids)


def test_background_is_not_learnt_where_a_class_was_left_out() -> None:
    """In the rows of the case and the box alone."""
    labels = np.zeros((3, 4, 5), np.uint8)
    table = np.zeros(3, ROW)
    table["case"], table["slice"] = (0, 0, 1), (0, 1, 0)
    slices = Slices(np.zeros((3, 1, 4, 5), np.float32), labels, None, table, ("a", "b"), frozenset())
    omitted = [Omission("a", 3, (1, 2, 0, 2, 0, 3)), Omission("b", 3, (0, 1, 2, 4, 3, 5))]
    boxes = mark_unknown(slices, omitted)
    assert boxes == {1: [(slice(0, 2), slice(0, 3))], 2: [(slice(2, 4), slice(3, 5))]}


def test_the_run_gives_the_class_back(lacking: Folders, result: TrainResult) -> None:
    """In the labels that the run ends with, most of the disc is where it truly is."""
    labels = open_store(result.folder / "labels.zarr")
    for case in HIDDEN:
        assert measure_disc(lacking, case, labels.read(case)) > 0.6
        assert not (labels.read(case, "original") == DISC).any()


def test_the_file_gives_the_class_back(lacking: Folders, result: TrainResult, tmp_path: Path) -> None:
    """``correct`` with the exported model and nothing else, and leaves the discs of the others nearly as they are."""
    model = export(result.folder, out=tmp_path / "model.onnx").path
    correct(lacking.masks, out=tmp_path / "cleaned.zarr", model=model)
    store = open_store(tmp_path / "cleaned.zarr")
    for case in HIDDEN:
        assert measure_disc(lacking, case, store.read(case)) > 0.6
    assert measure_disc(lacking, "case0", store.read("case0")) > 0.9


def test_a_trusted_case_lacks_what_it_lacks(lacking: Folders, tmp_path: Path) -> None:
    """It is not taken for omitted, and where no other case lacks the class, nothing will ever be restored."""
    given = {"set": ASKED, "epochs": 1, "seed": 1, "device": "cpu", "out": tmp_path}
    noise = read_noise(train(lacking.masks, trusted=HIDDEN, **given).folder)
    assert noise is not None
    assert noise.omitted == ()
    assert noise.restoration is not None
    assert noise.restoration.classes == frozenset()
