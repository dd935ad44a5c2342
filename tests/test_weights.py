"""The models that come with the package: made by a committed recipe, registered with their hash, shipped in the wheel."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

from adelecli.pipeline.discovery import find_hash, find_model
from adelecli.runtime.models import open_model

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "weights"
REGISTRY = WEIGHTS / "registry.toml"
TINY = ("network.width=4", "network.depth=2", "optimiser.batch_size=4", "optimiser.lr=0.01", "network.norm='instance'")


def load_recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_hippocampus", WEIGHTS / "make_hippocampus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes in the form of the data set: two to train on, one to validate on, one of the test split."""
    root = tmp_path_factory.mktemp("msd")
    rows = ["name,split,x,y,z"]
    for number, part in enumerate(("train", "train", "val", "test")):
        rng = np.random.default_rng(number)
        mask = np.zeros((14, 12, 6), np.uint8)
        mask[3:8, 3:9, 1:5], mask[8:11, 3:9, 1:5] = 1, 2
        image = mask * 100.0 + rng.normal(0, 10, mask.shape)
        name = f"hippocampus_{number:03}.nii.gz"
        for folder, array in (("images", image.astype(np.float32)), ("masks", mask)):
            (root / folder).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), root / folder / name)
        rows.append(f"{name},{part},14,12,6")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    (root / "labels.json").write_text('{"0": "background", "1": "anterior hippocampus", "2": "posterior hippocampus"}')
    return root


def test_the_recipe_makes_a_registered_model_with_its_card(data: Path, tmp_path: Path) -> None:
    """With tiny settings: trained without the test split, all classes correctable, licence stated, measured on validation."""
    options = argparse.Namespace(
        data=data,
        work=tmp_path / "work",
        out=tmp_path / "weights" / "hippocampus.onnx",
        epochs=2,
        seed=0,
        set=list(TINY),
    )
    exported = load_recipe().make(options)
    assert {path.name for path in (tmp_path / "work" / "masks").iterdir()} == {
        f"hippocampus_00{n}.nii.gz" for n in (0, 1, 2)
    }
    contract = open_model(exported.path, "cpu", sha256=find_hash(exported.path)).contract
    assert [entry.triggered for entry in contract.classes] == [False, True, True]
    assert (contract.licence, contract.scales, contract.classes[1].tau) == ("CC BY-SA 4.0", ((1, 1),), 0.6)
    assert contract.outline == 0.75
    entry = tomllib.loads((tmp_path / "weights" / "registry.toml").read_text())["hippocampus"]
    assert (entry["licence"], entry["sha256"]) == ("CC BY-SA 4.0", exported.sha256)
    card = exported.path.with_suffix(".md").read_text()
    assert "Not for clinical use" in card
    assert "the 1 volumes of the validation split" in card
    assert "| 2 | posterior hippocampus | 0." in card or "| 2 | posterior hippocampus | 1." in card


@pytest.mark.skipif(not REGISTRY.exists(), reason="no weights have been made in this checkout")
def test_every_registered_model_is_the_file_that_was_registered() -> None:
    """Hash, size below 4 MB, card and licence; each is found by its name from any folder."""
    for name, entry in tomllib.loads(REGISTRY.read_text(encoding="utf-8")).items():
        blob = (WEIGHTS / entry["file"]).read_bytes()
        assert hashlib.sha256(blob).hexdigest() == entry["sha256"], name
        assert len(blob) < 4_000_000
        assert (WEIGHTS / entry["card"]).exists()
        found = find_model(name, weights=Path("nowhere"))
        assert open_model(found, "cpu", sha256=find_hash(found)).contract.licence == entry["licence"]


@pytest.mark.slow
def test_the_wheel_holds_the_weights_and_git_holds_them_once(tmp_path: Path) -> None:
    """What stands in weights/ is copied into the wheel as package data, byte for byte; the recipe is not."""
    copy = tmp_path / "copy"  # a build leaves folders beside the sources, and takes up what an earlier one left
    shutil.copytree(ROOT / "adelecli", copy / "adelecli")
    shutil.copytree(WEIGHTS, copy / "weights")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "weights" / "probe.onnx").write_bytes(b"probe")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(tmp_path), str(copy)], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        shipped = {name.removeprefix("adelecli/weights/") for name in names if "/weights/" in name}
        patterns = ("*.onnx", "*.md", "registry.toml")
        assert shipped == {path.name for pattern in patterns for path in (copy / "weights").glob(pattern)}
        assert "probe.onnx" in shipped
        for name in shipped:
            assert wheel.read(f"adelecli/weights/{name}") == (copy / "weights" / name).read_bytes()
    assert "adelecli/runtime/contract-1.schema.json" in names
    assert not list((ROOT / "adelecli").rglob("*.onnx"))
