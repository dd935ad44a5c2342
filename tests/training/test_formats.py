"""Training reads what `correct` reads: the same data as NIfTI and as OME-Zarr give the same run, and a store of labels is masks again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import zarr
from conftest_training import SMALL, Folders, write_data

from adelecli.errors import ConfigError
from adelecli.store.collection import open_store
from adelecli.training.caching import write_cache
from adelecli.training.dataset import open_slices
from adelecli.training.plan import read_plan
from adelecli.training.trainer import TrainResult, train


def write_zarr(source: Path, target: Path) -> None:
    """A NIfTI file as OME-Zarr 0.5, for what a scale can say: both files' axes run to the right, to anterior and to superior."""
    loaded = nib.load(source)
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    steps = [float(step) for step in loaded.header.get_zooms()[::-1]]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": steps}]}
    group = zarr.open_group(str(target), mode="w")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [dataset]}]}
    group.create_array("0", data=np.asarray(loaded.dataobj).T)


def strip(result: TrainResult) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in result.history]


@pytest.fixture
def both(tmp_path: Path) -> tuple[Folders, Folders]:
    plain = write_data(tmp_path / "plain")
    packed = Folders(*(tmp_path / "packed" / name for name in ("", "images", "masks", "clean")))
    for name in ("images", "masks", "clean"):
        for file in sorted((plain.root / name).iterdir()):
            write_zarr(file, packed.root / name / (file.name.removesuffix(".nii.gz") + ".ome.zarr"))
    (packed.root / "labels.json").write_text((plain.root / "labels.json").read_text())
    return plain, packed


def test_ome_zarr_trains_as_nifti_does(both: tuple[Folders, Folders], tmp_path: Path) -> None:
    """The same losses, curves and scores in every epoch, and the same corrected labels; resuming finds the folders again."""
    runs = [
        train(one.masks, clean=one.clean, out=tmp_path / name, set=SMALL, epochs=2, seed=0, device="cpu")
        for one, name in zip(both, ("a", "b"), strict=True)
    ]
    assert strip(runs[0]) == strip(runs[1])
    first, second = (open_store(run.folder / "labels.zarr") for run in runs)
    assert first.case_ids() == second.case_ids()
    for case in first.case_ids():
        np.testing.assert_array_equal(first.read(case, "corrected"), second.read(case, "corrected"))
    again = train(resume=runs[1].folder, device="cpu")
    assert strip(again) == strip(runs[1])


def test_an_image_that_changed_is_refused_on_resume(both: tuple[Folders, Folders], tmp_path: Path) -> None:
    """A folder of chunks is hashed as a file is."""
    packed = both[1]
    run = train(packed.masks, out=tmp_path / "runs", set=SMALL, epochs=1, device="cpu").folder
    array = zarr.open_array(str(packed.images / "case1.ome.zarr" / "0"))
    array[0, 0, 0] = 77
    with pytest.raises(ConfigError, match="case1 has changed since the run began"):
        train(resume=run, device="cpu")


def test_the_labels_of_a_store_are_the_masks_of_a_next_training(
    run: TrainResult, folders: Folders, tmp_path: Path
) -> None:
    """The corrected ones; their names come along; only the cases that the store holds are learnt from."""
    store = open_store(run.folder / "labels.zarr")
    second = train(run.folder / "labels.zarr", images=folders.images, out=tmp_path, set=SMALL, epochs=1, device="cpu")
    plan = read_plan(second.folder)
    assert plan.case_ids == store.case_ids()
    write_cache(tmp_path / "cache", plan.survey, {}, lambda _: None)
    slices = open_slices(tmp_path / "cache", plan.case_ids, plan.val_cases)
    for number, case in enumerate(plan.case_ids):
        corrected = store.read(case, "corrected")
        height, width = corrected.shape[1:]
        rows = slices.rows_of(number)
        np.testing.assert_array_equal(slices.labels[rows][:, :height, :width], corrected)
    names = json.loads((second.folder / "plan.json").read_text())["class_names"]
    assert names == ["background", "square", "disc"]
