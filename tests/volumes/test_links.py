"""Links out of a folder of cases are refused, and the command that the refusal names makes the folder usable."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from adelecli.errors import CaseError
from adelecli.volumes.cases import list_masks
from adelecli.volumes.links import stay_inside

ANNEXED = "../.git/annex/objects/Xk/3f/MD5E-s3--900150983cd24fb0d6963f7d28e17f72.png/MD5E-s3--900150983cd24fb0d6963f7d28e17f72.png"


def link_out(folder: Path, name: str) -> Path:
    archive = folder.parent / "archive" / name
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(b"abc")
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(archive)
    return folder / name


def refuse(path: Path) -> str:
    with pytest.raises(CaseError) as error:
        stay_inside(path)
    return str(error.value)


def test_files_and_links_beside_them_are_taken(tmp_path: Path) -> None:
    """By the name that they have here."""
    (tmp_path / "a.png").write_bytes(b"abc")
    (tmp_path / "b.png").symlink_to("a.png")
    assert [stay_inside(tmp_path / name).name for name in ("a.png", "b.png")] == ["a.png", "b.png"]


def test_a_folder_of_links_is_usable_after_the_named_command(tmp_path: Path) -> None:
    """Whatever the folder is called: the command stands there as it must be typed."""
    folder = tmp_path / "our masks"
    for name in ("a.png", "b.png"):
        link_out(folder, name)
    told = re.search(r"`(cp [^`]+)`", refuse(folder / "a.png"))
    assert told is not None
    subprocess.run(shlex.split(told[1]), check=True)
    copied = tmp_path / "our masks-files"
    assert [case.id for case in list_masks(copied).cases] == ["a", "b"]
    assert (copied / "a.png").read_bytes() == b"abc"


def test_links_of_git_annex_have_a_command_of_their_own(tmp_path: Path) -> None:
    """To fetch what is not there yet, then to make a file of the link."""
    path = tmp_path / "set" / "masks" / "a.png"
    path.parent.mkdir(parents=True)
    path.symlink_to(ANNEXED)
    assert f"is not there; fetch it: `datalad get {path}`" in refuse(path)
    kept = path.parent / ANNEXED
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"abc")
    assert f"leaves its folder; make files of the links: `datalad unlock {path.parent}`" in refuse(path)


def test_a_link_to_nothing_is_told_as_such(tmp_path: Path) -> None:
    """It stands for a case that somebody expects."""
    (tmp_path / "a.png").symlink_to("none.png")
    assert "is a link to a file that is not there; put the file itself here" in refuse(tmp_path / "a.png")
