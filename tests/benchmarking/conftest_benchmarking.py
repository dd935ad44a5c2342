"""A clean data set of a few tiny volumes, and settings with which a training takes a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # the sizes are tiny: a second thread would only wait

TINY = (
    "network.width=4",
    "network.depth=2",
    "network.norm='instance'",
    "optimiser.batch_size=4",
    "optimiser.warmup_steps=0",
    "optimiser.lr=0.01",
    "data.empty_share=1.0",
)


@dataclass(frozen=True)
class CleanData:
    root: Path
    masks: Path
    val: Path


@pytest.fixture(scope="session")
def clean_data(tmp_path_factory: pytest.TempPathFactory) -> CleanData:
    """Four volumes of 3 slices of 16 x 16 voxels: a bright square and a dim one; case3 is held out."""
    root = tmp_path_factory.mktemp("clean")
    for name in ("images", "masks"):
        (root / name).mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        truth = np.zeros((16, 16, 3), np.uint8)
        x, y = rng.integers(1, 3, 2)
        truth[x : x + 6, y : y + 7] = 1
        truth[10:14, 9:14, :2] = 2
        image = np.choose(truth, [0.0, 200.0, 100.0]) + rng.normal(0, 10, truth.shape)
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        nib.save(nib.Nifti1Image(image.astype(np.float32), affine), root / "images" / f"case{number}.nii.gz")
        nib.save(nib.Nifti1Image(truth, affine), root / "masks" / f"case{number}.nii.gz")
    (root / "labels.json").write_text(json.dumps({"0": "background", "1": "square", "2": "patch"}))
    (root / "val.txt").write_text("case3\n")
    return CleanData(root, root / "masks", root / "val.txt")
