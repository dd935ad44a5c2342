"""No command reaches a network unless an address was named: all of them run where sockets cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_models import make_contract, make_model

from adelecli.cli.app import COMMANDS

SCRIPT = Path(__file__).with_name("offline.py")
REACHING = {"review"}  # a page on the loopback address, which the user asked for
WITH_DEMO = {"demo"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_model(tmp_path / "weights" / "adele.onnx", make_contract())
    labels = np.zeros((16, 16, 4), np.uint8)
    labels[4:10, 4:10, 1:3] = 1
    labels[10:13, 4:10, 1:3] = 2
    for number in range(4):
        for name, array in (("images", labels.astype(np.float32)), ("masks", np.roll(labels, number % 2, 0))):
            (tmp_path / name).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / name / f"case{number}.nii.gz")
    return tmp_path


def run_offline(place: Path, *before: str, demo: bool = False) -> dict[str, object]:
    words = [*before, sys.executable, str(SCRIPT), str(place), *(["demo"] if demo else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stderr.splitlines()[-1])
    return answer


def check(answer: dict[str, object], commands: set[str]) -> None:
    codes = answer["codes"]
    assert isinstance(codes, dict)
    assert answer["attempts"] == []
    assert {name: code for name, code in codes.items() if code not in {0, 4}} == {}
    assert {name.partition(" ")[0] for name in codes} - {"--version"} == commands


def test_every_command_works_where_sockets_cannot_be_used(place: Path) -> None:
    """Python's own functions raise; not one of them is even called."""
    check(run_offline(place), set(COMMANDS) - REACHING - WITH_DEMO)


@pytest.mark.slow
def test_every_command_works_in_a_namespace_without_a_network(place: Path) -> None:
    """The kernel has no route, for libraries that open sockets below Python too."""
    before = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    check(run_offline(place, *before, demo=True), set(COMMANDS) - REACHING)
