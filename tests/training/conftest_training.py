"""A data set of a few small volumes, a run on it and its export: made once for all tests of the room."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from adelecli.training.exporter import ExportResult, export
from adelecli.training.trainer import TrainResult, train

torch.set_num_threads(1)  # the sizes are tiny: a second thread would only wait

STILL = (
    "noise.enabled=false", "correction.start=0.0",
    "augment.rotate=0", "augment.scale=0", "augment.shift=0", "augment.brightness=0", "augment.contrast=0",
)  # fmt: skip
"""The default preset without what has tests of its own: no noise estimate, no augmentation, correction from the onset on."""

SMALL = (
    "network.width=8",
    "network.depth=2",
    "network.norm='instance'",
    "optimiser.batch_size=2",
    "optimiser.warmup_steps=0",
    "optimiser.lr=0.003",
    "onset.r=0.5",
    "onset.consecutive=1",
    "correction.tau=0.5",
    "data.val_share=0.25",
    "data.empty_share=1.0",
    "loss.dice_steps=30",
    *STILL,
)


@dataclass(frozen=True)
class Folders:
    root: Path
    images: Path
    masks: Path
    clean: Path


def write_data(root: Path, cases: int = 4) -> Folders:
    """Bright squares (1) and dim discs (2) on noise; squares have a row too few or too many, and a stray pixel."""
    folders = Folders(root, root / "images", root / "masks", root / "clean")
    for folder in (folders.images, folders.masks, folders.clean):
        folder.mkdir(parents=True)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    for number in range(cases):
        rng = np.random.default_rng(number)
        truth = np.zeros((22 + number, 19 + 2 * (number % 2), 5), np.uint8)  # unequal: what pads them must agree
        x, y = rng.integers(2, 6, 2)
        truth[x : x + 7, y : y + 6, 1:] = 1
        grid = np.indices(truth.shape[:2])
        truth[((grid[0] - 15) ** 2 + (grid[1] - 13) ** 2 < 12), :4] = 2
        image = np.choose(truth, [0.0, 200.0, 100.0]) + rng.normal(0, 20, truth.shape)
        noisy = truth.copy()
        for z in range(
            5
        ):  # a fair coin for each slice: a row too few or a row too many, which nothing in the image explains
            row = x if rng.random() < 0.5 else x + 7
            noisy[row, y : y + 6, z] = 0 if row == x else truth[x, y : y + 6, z]
        noisy[0, 0, 1] = 1
        for folder, values in (
            (folders.images, image.astype(np.float32)),
            (folders.clean, truth),
            (folders.masks, noisy),
        ):
            nib.save(nib.Nifti1Image(values, affine), folder / f"case{number}.nii.gz")
    (root / "labels.json").write_text(json.dumps({"0": "background", "1": "square", "2": "disc"}))
    return folders


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def run(folders: Folders) -> TrainResult:
    """A finished run in which every class has triggered."""
    return train(
        folders.masks,
        out=folders.root / "runs",
        set=SMALL,
        epochs=10,
        seed=1,
        device="cpu",
        clean=folders.clean,
        name="run",
    )


@pytest.fixture(scope="session")
def exported(run: TrainResult, folders: Folders) -> ExportResult:
    return export(run.folder, out=folders.root / "weights" / "adele.onnx", licence="CC0-1.0")
