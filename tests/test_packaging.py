"""What is shipped: wheel and sdist build, hold what they should, and work in clean environments."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series

ROOT = Path(__file__).parents[1]
SOURCES = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "adelecli", "weights",
)  # fmt: skip

TRY = """
import json, sys
import nibabel, numpy as np
from pathlib import Path
rng = np.random.default_rng(0)
for name in ("images", "masks"):
    Path(name).mkdir()
for number in range(3):
    labels = np.zeros((24, 24, 4), np.uint8)
    labels[6:16, 8:18, 1:3] = 1
    labels[12:18, 8:18, 1:3] = 2
    for name, array in (("images", (200.0 * (labels > 0) + rng.normal(0, 20, labels.shape)).astype(np.float32)), ("masks", labels)):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), f"{name}/case{number}.nii.gz")
"""
SEGMENT = """
import json
from pathlib import Path
import pydicom
(found,) = Path("seg").rglob("*.dcm")
written = pydicom.dcmread(found)
print(json.dumps([written.Modality, written.SegmentationType]))
"""
TRAINING = ("--epochs", "1", "--set", "network.width=2", "--set", "noise.enabled=false", "-q", "-d", "cpu")


def run(*words: object, cwd: Path) -> str:
    """Run a program; its exit code must be 0. Returns its stdout."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of this tree, and the wheel that is built from that sdist."""
    place = tmp_path_factory.mktemp("built")
    source = place / "source"
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    venv.create(place / "env", with_pip=True)
    python = place / "env" / "bin" / "python"
    found = subprocess.run([python, "-m", "pip", "install", "-q", "build"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("no package registry: `build` cannot be installed")
    run(python, "-m", "build", "-q", "--outdir", place / "dist", source, cwd=place)
    (sdist,), (wheel,) = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_should(built: tuple[Path, Path]) -> None:
    """Licence, types, schemas, pages and the model are in the wheel; no test, no data and no environment."""
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
    wanted = (
        "adelecli/py.typed",
        "adelecli/schemas/correct-1.schema.json",
        "adelecli/weights/hippocampus.onnx",
        "adelecli/weights/registry.toml",
        "/licenses/LICENSE",
    )
    assert all(any(name.endswith(ending) for name in names) for ending in wanted)
    assert any(name.endswith(".schema.json") for name in names)
    assert any(name.endswith("review.js") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"adelecli", "adele"}
    with tarfile.open(built[0]) as archive:
        packed = [name.partition("/")[2] for name in archive.getnames()]
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "constraints.txt",
        "weights/hippocampus.onnx",
    } <= set(packed)
    assert not [
        name
        for name in packed
        if name.startswith((".venv", "docs", "benchmarks", "shared", "tests")) or name.endswith(".pyc")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", "train", "dicom", "all"])
def test_it_works_in_a_clean_environment(built: tuple[Path, Path], tmp_path: Path, extra: str) -> None:
    """The model that comes along corrects everywhere; the base package proves itself; `train` trains and `dicom` writes a SEG."""
    venv.create(tmp_path / "env", with_pip=True)
    python, adele = (tmp_path / "env" / "bin" / name for name in ("python", "adele"))
    wish = f"{built[1]}[{extra}]" if extra else built[1]
    run(python, "-m", "pip", "install", "-q", "--constraint", ROOT / "constraints.txt", wish, cwd=tmp_path)
    told = run(adele, "--version", cwd=tmp_path)
    run(python, "-c", TRY, cwd=tmp_path)
    report = json.loads(
        run(
            adele,
            "correct",
            "./masks",
            "--model",
            "hippocampus",
            "--out",
            "cleaned.zarr",
            "--max-change",
            "1",
            "-d",
            "cpu",
            "--json",
            cwd=tmp_path,
        )
    )
    assert len(report["cases"]) == 3
    assert not any(case["error"] for case in report["cases"])
    if not extra:
        assert "torch" in told.partition("not installed")[2]
        run(python, "-I", ROOT / "tests" / "base_install" / "prove_base.py", cwd=tmp_path)
    if extra in {"train", "all"}:
        assert "torch 2" in told
        run(adele, "train", *TRAINING, cwd=tmp_path)
        run(adele, "export", "-q", cwd=tmp_path)
        assert (tmp_path / "weights" / "adele.onnx").is_file()
    if extra in {"dicom", "all"}:
        labels = np.zeros((4, 24, 24), np.int16)
        labels[1:3, 6:16, 8:18] = 1
        write_series(tmp_path / "scans" / "case", 200 * labels + 50, spacing=(2.0, 1.0, 1.0))
        words = ("predict", "scans", "--model", "hippocampus", "--out", "scans.zarr", "-d", "cpu", "-q")
        run(adele, *words, cwd=tmp_path)
        run(adele, "convert", "scans.zarr", "--out", "seg", "--format", "dicom-seg", "-i", "scans", "-q", cwd=tmp_path)
        assert json.loads(run(python, "-c", SEGMENT, cwd=tmp_path)) == ["SEG", "LABELMAP"]
    if extra == "all":
        assert "not installed" not in told


@pytest.mark.slow
def test_a_wheelhouse_installs_without_any_index(built: tuple[Path, Path], tmp_path: Path) -> None:
    """The recipe of docs/install.md: gathered with the registries, installed with none."""
    for name in ("connected", "alone"):
        venv.create(tmp_path / name, with_pip=True)
    house, pinned = tmp_path / "wheelhouse", ROOT / "constraints.txt"
    run(
        tmp_path / "connected" / "bin" / "python", "-m", "pip", "wheel", "-q", "--constraint", pinned,
        "--wheel-dir", house, built[1], cwd=tmp_path,
    )  # fmt: skip
    run(tmp_path / "alone" / "bin" / "pip", "install", "-q", "--no-index", "--find-links", house, "adele", cwd=tmp_path)
    assert run(tmp_path / "alone" / "bin" / "adele", "--version", cwd=tmp_path).startswith("adele ")


@pytest.mark.slow
def test_wheels_for_another_machine_can_be_gathered(built: tuple[Path, Path], tmp_path: Path) -> None:
    """The second recipe of docs/install.md: with the platform tags that the page names there is a wheel of everything."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    platforms = re.findall(r"--platform (\S+)", page)
    house = tmp_path / "wheelhouse"
    venv.create(tmp_path / "env", with_pip=True)
    run(
        tmp_path / "env" / "bin" / "python", "-m", "pip", "download", "-q", "--only-binary", ":all:", "--python-version", "3.11",
        *(word for platform in platforms for word in ("--platform", platform)),
        "--constraint", ROOT / "constraints.txt", "--dest", house, f"{built[1]}[dicom,itk]", cwd=tmp_path,
    )  # fmt: skip
    gathered = {wheel.name.partition("-")[0].lower() for wheel in house.glob("*.whl")}
    assert {"adele", "numpy", "scipy", "onnxruntime_gpu", "zarr", "pydicom", "simpleitk"} <= gathered
