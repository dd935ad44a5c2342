"""Patient data in headers, tags and metadata reach neither stdout nor stderr nor the log, with good files and with broken ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_files import write_series
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tiny_models import make_contract, make_model

MARK = "ZZDOEJOHN"
ADELE = Path(sys.executable).with_name("adele")
SHAPE = (4, 16, 12)


def draw() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 4:10, 3:8] = 1
    return labels


def write_nifti(path: Path, array: np.ndarray) -> None:
    image = nib.Nifti1Image(array.T, np.diag([1.0, 1.0, 2.0, 1.0]))
    for field in ("descrip", "intent_name", "db_name", "aux_file"):
        image.header[field] = MARK.encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", MARK.encode()))
    nib.save(image, path)


def write_picture(path: Path, array: np.ndarray) -> None:
    """One slice, with the mark in EXIF and in the format's own texts."""
    picture = Image.fromarray(array)
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = MARK  # ImageDescription, Artist
    texts = PngInfo()
    texts.add_text("Patient", MARK)
    if path.suffix == ".png":
        picture.save(path, exif=exif, pnginfo=texts)
    else:
        picture.save(path, tiffinfo={0x010E: MARK, 0x013B: MARK})


def make_data(root: Path) -> None:
    """One case a format, and a broken twin of each that still holds the mark."""
    labels = draw()
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for name, array in (("images", labels.astype(np.float32)), ("masks", np.roll(labels, 1, axis=1))):
        write_nifti(root / name / "volume.nii.gz", array)
        write_nifti(root / name / "volume2.nii.gz", array)
        write_nifti(root / name / "short.nii", array)
        write_picture(root / name / "picture.png", array[1].astype(np.uint8))
        write_picture(root / name / "scan.tif", array[1].astype(np.uint8))
    for name in ("images", "masks"):
        file = root / name / "short.nii"
        file.write_bytes(file.read_bytes()[:-500])
        whole = (root / name / "picture.png").read_bytes()
        (root / name / "torn.png").write_bytes(whole[: len(whole) - 30])
    write_series(root / "images" / "series", labels, intercept=0, spacing=(2.0, 1.0, 1.0))
    write_nifti(root / "masks" / "series.nii.gz", labels)
    for number, file in enumerate(sorted((root / "images" / "series").iterdir())):
        mark_series(file, broken=number == 0)


def mark_series(file: Path, *, broken: bool) -> None:
    """The mark in every tag of a person, and, in a broken file, in a tag whose value its kind forbids."""
    import pydicom

    dataset = pydicom.dcmread(file)
    for tag in (
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "InstitutionName",
        "ReferringPhysicianName",
        "StudyDescription",
    ):
        setattr(dataset, tag, MARK)
    if broken:
        with pydicom.config.disable_value_validation():
            dataset.add_new("PatientBirthDate", "DA", MARK)
            dataset.add_new("PatientAge", "AS", MARK)
    dataset.save_as(file)


def run(root: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [ADELE, *words], cwd=root, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"}
    )
    return done.returncode, done.stdout, done.stderr


COMMANDS = (
    ("check", "masks", "-v"),
    ("correct", "masks", "--out", "c.zarr", "-v", "--log-json", "log.jsonl", "--log-ids"),
    ("predict", "images", "--out", "p.zarr", "-v", "--log-json", "log.jsonl"),
    ("info", "c.zarr"),
    ("verify", "c.zarr", "--masks", "masks", "--images", "images"),
    ("evaluate", "c.zarr", "masks"),
    ("report", "c.zarr"),
    ("revert", "c.zarr"),
    ("convert", "c.zarr", "--out", "files"),
    ("corrupt", "masks", "--out", "noisy/masks"),
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What every command says of the data, with --json too where that changes it."""
    root = tmp_path_factory.mktemp("patients")
    make_model(root / "weights" / "adele.onnx", make_contract(2))
    make_data(root)
    answers = {words[0]: run(root, *words) for words in COMMANDS}
    answers["check --json"] = run(root, "check", "masks", "--json")
    answers["log"] = (0, (root / "log.jsonl").read_text(), "")
    return answers


def test_the_mark_is_in_the_data(tmp_path: Path) -> None:
    """Or the other tests would prove nothing."""
    make_data(tmp_path)
    held = [path for path in tmp_path.rglob("*") if path.is_file() and MARK.encode() in read_plain(path)]
    assert {path.suffix for path in held} >= {".gz", ".nii", ".png", ".tif"}
    assert any(path.parent.name == "series" for path in held)


def read_plain(path: Path) -> bytes:
    import gzip

    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_no_command_says_what_stands_in_a_header(told: dict[str, tuple[int, str, str]]) -> None:
    """Nor in its log, nor about a file that it could not read; and it did read, and did refuse."""
    for name, (code, out, err) in told.items():
        assert MARK not in out, name
        assert MARK not in err, name
        assert code in {0, 3, 4}, (name, code, err)
    statuses = told["correct"][1]
    assert "corrected" in statuses
    assert told["correct"][0] == 3  # some could not be read


def test_the_log_without_ids_names_no_case_and_no_file(told: dict[str, tuple[int, str, str]]) -> None:
    """`predict` logged without --log-ids: its lines hold hashes."""
    lines = [json.loads(line) for line in told["log"][1].splitlines()]
    predicting = [line for line in lines if line.get("command") == "predict"]
    assert predicting
    for line in predicting:
        text = json.dumps(line)
        assert not any(case in text for case in ("volume", "picture", "scan", "torn", "series", ".nii", ".png")), text
