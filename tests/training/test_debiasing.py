"""Masks that are all drawn too large, and three cases known to be right: what is learnt, what is corrected, and what stays."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest_training import SMALL, Folders, write_data
from scipy.ndimage import binary_dilation

from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import ClassNoise, Noise, Omission
from adelecli.store.collection import open_store
from adelecli.training.dataset import ROW, Slices
from adelecli.training.debiasing import learn_from_moved
from adelecli.training.loop import Experiment
from adelecli.training.resolving import resolve_settings
from adelecli.training.trainer import TrainResult, train

TRUSTED = ("case0", "case2", "case4")
CASES = 10
ASKED = (
    *SMALL, "noise.enabled=true", "noise.steps=100", "data.val_share=0", "correction.start=1.0", "correction.outline=0.75",
    "loss.scales=[[1, 1]]", "network.width=4",
)  # fmt: skip


def widen(plane: np.ndarray) -> np.ndarray:
    """Every structure a pixel too large all around, over background only."""
    wide = plane.copy()
    for c in (1, 2):
        wide[binary_dilation(plane == c, np.ones((3, 3))) & (wide == 0)] = c
    return wide


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folders = write_data(tmp_path_factory.mktemp("wide"), cases=CASES)
    for path in sorted(folders.clean.iterdir()):
        truth = nib.load(path)
        values = np.asarray(truth.dataobj)
        if path.name.split(".")[0] not in TRUSTED:
            values = np.stack([widen(plane) for plane in np.moveaxis(values, 2, 0)], axis=2)
        nib.save(nib.Nifti1Image(values, truth.affine), folders.masks / path.name)
    return folders


def run(wide: Folders, out: Path, trusted: tuple[str, ...]) -> tuple[TrainResult, list[str]]:
    told: list[str] = []
    result = train(
        wide.masks, out=out, set=ASKED, epochs=4, seed=1, device="cpu", trusted=trusted, clean=wide.clean,
        progress=lambda event: told.append(event.notice) if event.notice else None,
    )  # fmt: skip
    return result, told


def test_a_shared_bias_is_found_learnt_without_and_corrected(wide: Folders, tmp_path: Path) -> None:
    """About a pixel too large is told; what is learnt from has less than half of the error; the corrected labels, too."""
    result, told = run(wide, tmp_path, TRUSTED)
    noise = json.loads((result.folder / "noise.json").read_text())
    assert all(0.5 <= entry["bias"] <= 1.5 for entry in noise["classes"])
    assert [entry["shift"] for entry in noise["classes"]] == [-entry["bias"] for entry in noise["classes"]]
    assert sum("px too large; its outlines are moved back before anything is learnt" in line for line in told) == 2
    state = json.loads((result.folder / "state.json").read_text())
    before, after = state["labels"]["error"]["before"], state["labels"]["error"]["after"]
    assert before > 0.25
    assert result.history[-1]["label_error"]["before"] < 0.5 * before
    assert after < 0.5 * before
    store = open_store(result.folder / "labels.zarr")
    for case in ("case0", "case1"):
        drawn = np.asarray(nib.load(wide.masks / f"{case}.nii.gz").dataobj)
        original = store.read(case, "original")
        np.testing.assert_array_equal(np.sort(original, axis=None), np.sort(drawn, axis=None))
    assert (store.read("case0", "original") == store.read("case0", "corrected")).all()


def test_without_trusted_cases_nobody_can_know(wide: Folders, tmp_path: Path) -> None:
    """The bias is learnt, and the labels of the network's own opinion are left as they are."""
    result, _ = run(wide, tmp_path, ())
    noise = json.loads((result.folder / "noise.json").read_text())
    assert all(entry["shift"] == 0 and entry["bias"] is None for entry in noise["classes"])
    state = json.loads((result.folder / "state.json").read_text())
    assert state["labels"]["error"]["after"] > 0.8 * state["labels"]["error"]["before"]


def test_the_background_around_an_omission_is_ignored_and_nothing_else(tmp_path: Path) -> None:
    """In its box, of its case; what is drawn there stays, and so do the labels as they were drawn."""
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1, 1] = 2
    table = np.zeros(3, ROW)
    table["case"], table["slice"] = (0, 0, 1), (0, 1, 0)
    slices = Slices(np.zeros((3, 1, 4, 5), np.float32), labels, None, table, ("a", "b"), frozenset())
    shown = ClassNoise(0.4, 0.2, 0.1, 0.0, 0.0, 0.0)
    noise = Noise((shown,) * 3, 1.0, (), None, omitted=(Omission("a", 3, (1, 2, 0, 2, 0, 3)),))
    names = ("background", "one", "two", "three")
    experiment = Experiment(resolve_settings(None), slices, names, torch.device("cpu"), lambda _: None, noise=noise)
    learnt = learn_from_moved(experiment, tmp_path).slices.labels
    expected = labels.copy()
    expected[1, :2, :3] = IGNORE
    expected[1, 1, 1] = 2
    np.testing.assert_array_equal(learnt, expected)
    assert np.count_nonzero(labels) == 1
