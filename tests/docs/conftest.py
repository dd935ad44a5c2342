"""The folder in which the pages for programs are followed, and the pipelines run."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_models import make_contract, make_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`images/`, `masks/`, `truth/` with the cases a and b, and a model for which an intensity is a class."""
    for number, case in enumerate("ab"):
        truth = np.zeros((16, 16, 6), np.uint8)
        truth[2 + number : 8, 2:7, 1:5] = 1
        truth[9:14, 8:14, 1:5] = 2
        noisy = truth.copy()
        noisy[7, :, 2:4] = 0
        for kind, array in (("images", truth.astype(np.float32)), ("masks", noisy), ("truth", truth)):
            (tmp_path / kind).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / kind / f"{case}.nii.gz")
    make_model(tmp_path / "weights" / "adele.onnx", make_contract())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADELE_MODEL", raising=False)
    return tmp_path
