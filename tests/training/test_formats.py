"""Training reads what `correct` reads: the same data as NIfTI and as OME-Zarr give the same run, and a store of labels is masks again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import nibabel as nib
import numpy as np
import pytest
import zarr
from conftest_training import SMALL, Folders, write_data
from dicom_files import write_series

from adelecli.errors import ConfigError
from adelecli.progress import ignore_progress
from adelecli.store import foreign, remote
from adelecli.store.collection import open_store
from adelecli.training.caching import write_cache
from adelecli.training.dataset import open_slices
from adelecli.training.options import TrainOptions
from adelecli.training.plan import RunPlan, make_plan, read_plan
from adelecli.training.runfolder import write_json
from adelecli.training.settings import Settings
from adelecli.training.trainer import TrainResult, train
from adelecli.volumes.series import read_series_geometry


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


def describe(plan: RunPlan) -> dict[str, Any]:
    """A plan without what says where its files lie and what their bytes are."""
    record = msgspec.to_builtins(plan.to_record())
    for case in record["cases"]:
        for key in ("images", "mask", "clean", "sha256"):
            del case[key]
    return record


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
    """The same plan, losses, curves and scores in every epoch, and the same corrected labels; resuming finds the folders again."""
    runs = [
        train(one.masks, clean=one.clean, out=tmp_path / name, set=SMALL, epochs=2, seed=0, device="cpu")
        for one, name in zip(both, ("a", "b"), strict=True)
    ]
    assert strip(runs[0]) == strip(runs[1])
    assert describe(read_plan(runs[0].folder)) == describe(read_plan(runs[1].folder))
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


def keep_and_read(plan: RunPlan, folder: Path) -> RunPlan:
    """The plan as a resumed run reads it."""
    folder.mkdir()
    write_json(folder / "plan.json", msgspec.to_builtins(plan.to_record()))
    return read_plan(folder)


def test_a_bucket_is_planned_as_the_folder_that_it_copies(
    both: tuple[Folders, Folders], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses of images and masks: the same plan and the same hashes, and the addresses are found again on resume."""
    from obstore.store import LocalStore
    from zarr.storage import ObjectStore

    packed = both[1]

    def open_bucket(path: Path) -> LocalStore:
        return LocalStore(packed.root / Path(*path.parts[2:]))

    monkeypatch.setattr(remote, "open_bucket", open_bucket)
    monkeypatch.setattr(foreign, "connect", lambda path: ObjectStore(open_bucket(path), read_only=True))
    settings = msgspec.convert({"data": {"classes": {"background": 0, "square": 1, "disc": 2}}}, Settings)
    here = make_plan(packed.masks, packed.images, settings, TrainOptions(), ignore_progress)
    there = make_plan("s3://bucket/masks", "s3://bucket/images", settings, TrainOptions(), ignore_progress)
    assert describe(there) == describe(here)
    assert there.fingerprint() == here.fingerprint()
    again = keep_and_read(there, tmp_path / "run")
    assert [facts.case for facts in again.survey.facts] == [facts.case for facts in there.survey.facts]
    write_cache(tmp_path / "cache", again.survey, {}, lambda _: None)
    assert len(open_slices(tmp_path / "cache", again.case_ids, again.val_cases)) == 20


def test_series_that_share_a_folder_are_trained_on(tmp_path: Path) -> None:
    """Loose files of two DICOM series: each is a case under its UID, now and when a resumed run reads the plan."""
    stored = np.arange(2 * 12 * 8).reshape(2, 12, 8)
    ids = [write_series(tmp_path / "images", stored + number, prefix=f"s{number}") for number in range(2)]
    (tmp_path / "masks").mkdir()
    for name in ids:
        grid = read_series_geometry(tmp_path / "images" / name).canonical
        mask = np.zeros(grid.shape, np.uint8)
        mask[:, 2:6, 3:7] = 1
        nib.save(nib.Nifti1Image(mask.T, grid.affine), tmp_path / "masks" / f"{name}.nii.gz")
    plan = make_plan(tmp_path / "masks", tmp_path / "images", Settings(), TrainOptions(), ignore_progress)
    assert plan.case_ids == tuple(sorted(ids))
    assert describe(keep_and_read(plan, tmp_path / "run")) == describe(plan)
    (tmp_path / "images" / "s1000.dcm").unlink()
    with pytest.raises(ConfigError, match=f"{ids[1]} has changed since the run began"):
        read_plan(tmp_path / "run")
