"""Drafts, renames, strangers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adelecli.errors import OutputError
from adelecli.store import files
from adelecli.store.layout import draft_folder


def make_folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "zarr.json").write_text(text)
    return path


def test_a_rename_never_overwrites_unasked(tmp_path: Path) -> None:
    """Two workers on one case: the rename is the lock, the second is told."""
    target = make_folder(tmp_path / "case", "first")
    with pytest.raises(FileExistsError):
        files.move_into_place(make_folder(tmp_path / "draft", "second"), target, replace=False)
    assert (target / "zarr.json").read_text() == "first"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_replacing_keeps_the_old_version_until_the_new_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    """With and without the kernel's exchange, old and new end up swapped."""
    if not can_exchange:
        monkeypatch.setattr(files, "exchange", lambda *_: False)
    target, draft = make_folder(tmp_path / "case", "old"), make_folder(tmp_path / "draft", "new")
    assert files.move_into_place(draft, target, replace=True)
    assert (target / "zarr.json").read_text() == "new"
    assert (draft / "zarr.json").read_text() == "old"


def test_a_failed_replacement_puts_the_old_version_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without exchange, an error between the two renames must not lose the case."""
    target, draft = make_folder(tmp_path / "case", "old"), make_folder(tmp_path / "draft", "new")
    monkeypatch.setattr(files, "exchange", lambda *_: False)
    rename = Path.rename

    def refuse_once_absent(self: Path, other: Path) -> Path:
        if self == draft and not target.exists():
            raise PermissionError(13, "refused")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", refuse_once_absent)
    with pytest.raises(PermissionError):
        files.move_into_place(draft, target, replace=True)
    assert (target / "zarr.json").read_text() == "old"


def test_drafts_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path) -> None:
    """A killed process leaves a draft; the next start clears it, but not the draft of a process at work."""
    store = tmp_path / "c.zarr"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = files.make_draft(store, "mine.v1")
    theirs = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{dead.pid}."))
    elsewhere = mine.with_name(f"x.otherhost.{dead.pid}.abc")
    ancient = mine.with_name(f"y.otherhost.{dead.pid}.abc")
    for folder in (theirs, elsewhere, ancient, mine.with_name("unknown")):
        folder.mkdir()
    os.utime(ancient, (0, 0))
    files.remove_stale_drafts(store)
    assert {path.name for path in mine.parent.iterdir()} == {mine.name, elsewhere.name, "unknown"}


def test_an_empty_folder_for_drafts_is_removed_too(tmp_path: Path) -> None:
    """A worker that is killed between making the folder and its first draft leaves nothing to ask for."""
    folder = draft_folder(tmp_path / "c.zarr")
    folder.mkdir()
    files.remove_stale_drafts(tmp_path / "c.zarr")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_for_drafts_goes_with_the_last_draft(tmp_path: Path) -> None:
    """Nothing but the store and its journal stays behind."""
    draft = files.make_draft(tmp_path / "c.zarr", "a")
    files.remove_draft(draft)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stranger", ["patient.nii", "case/patient.nii", "case/labels/c/notes.txt", "case/c0/1"])
def test_strangers_are_found(tmp_path: Path, stranger: str) -> None:
    """Whatever is neither a zarr.json nor a shard is someone else's."""
    shard = tmp_path / "case/labels/original/0/c/0/0/0"
    for path in (shard, tmp_path / "zarr.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert files.find_foreign(tmp_path) is None
    (tmp_path / stranger).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stranger).write_text("")
    assert files.find_foreign(tmp_path) == stranger


def test_links_are_strangers(tmp_path: Path) -> None:
    """A link may lead out of the store, so it is never followed."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "case").symlink_to(tmp_path)
    assert files.find_foreign(tmp_path / "store") == "case"


def test_disk_errors_name_the_place_and_keep_their_kind(tmp_path: Path) -> None:
    """A full disk is an OutputError of one line; our own errors pass unchanged."""
    full = r"c.zarr: cannot be written \(No space left on device\); free"
    with pytest.raises(OutputError, match=full), files.reporting_write_errors(tmp_path / "c.zarr"):
        raise OSError(28, "No space left on device")
    with pytest.raises(OutputError, match=r"^mine$"), files.reporting_write_errors(tmp_path):
        raise OutputError("mine")
