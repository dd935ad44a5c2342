"""Proves that the base package corrects labels where torch is not installed. Run by the python of such an environment.

    python tests/base_install/prove_base.py

It makes two cases whose right correction is known voxel by voxel, and runs `adele correct`, `verify`, `convert` and `info`
on them as a hospital would: as commands, with their exit codes. Ends with 0 and one line, or with the first broken promise.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

MODEL = Path(__file__).with_name("threshold.onnx")
ABSENT = ("torch", "monai", "onnx", "onnxscript", "safetensors", "matplotlib")
AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])  # LPS storage, as a scanner's series has it


def main() -> None:
    """Hold the promises, one after the other."""
    present = [name for name in ABSENT if importlib.util.find_spec(name) is not None]
    assert not present, f"this environment is not the base package alone: it has {present}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        expected = {f"case_{number}": make_case(root, number) for number in (1, 2)}
        store = root / "cleaned.zarr"
        report = json.loads(
            run_adele("correct", root / "masks", "--model", MODEL, "--out", store, "-d", "cpu", "--json")
        )
        assert [case["status"] for case in report["cases"]] == ["corrected", "corrected"], report
        run_adele("verify", store)
        run_adele("info", store)
        run_adele("info", MODEL)
        run_adele("convert", store, "--out", root / "files")
        for case, labels in expected.items():
            written = nibabel.load(root / "files" / f"{case}.nii.gz")
            assert np.array_equal(np.asarray(written.dataobj), labels), f"{case}: not the labels the rule gives"
            given = nibabel.load(root / "masks" / f"{case}.nii.gz")
            assert written.affine.tobytes() == given.affine.tobytes(), f"{case}: the geometry changed"
    sys.stdout.write("the base package corrects labels without torch\n")


def make_case(root: Path, number: int) -> NDArray[np.uint8]:
    """Write an image and a noisy mask; return what the rule makes of the mask.

    The lesion is bright in all three slices; the mask has lost a row of it, and gained a spot, in two of them and has
    nothing in the third, where the slice constraint lets nothing be written.
    """
    truth = np.zeros((20, 16, 3), np.uint8)
    truth[4 : 11 + number, 5:11] = 1
    noisy, expected = truth.copy(), truth.copy()
    noisy[4, :, :2] = 0
    noisy[16, 3, :2] = 1
    noisy[..., 2] = expected[..., 2] = 0
    for folder, array in (("images", truth.astype(np.int16) * 100), ("masks", noisy)):
        (root / folder).mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), root / folder / f"case_{number}.nii.gz")
    return expected


def run_adele(*words: object) -> str:
    """Run the installed program; its exit code must be 0. Returns its stdout."""
    program = Path(sys.executable).with_name("adele")
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"adele {words[0]} ended with {done.returncode}: {done.stderr}{done.stdout}"
    return done.stdout


if __name__ == "__main__":
    main()
