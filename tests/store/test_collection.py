"""Making, resuming, overwriting and reading stores."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adelecli.errors import CaseError, ConfigError, InputError, OutputError
from adelecli.store import files
from adelecli.store.collection import Store, create_store, open_store
from adelecli.store.frame import Frame
from adelecli.store.journal import read_entries
from adelecli.store.layout import journal_path
from adelecli.store.verification import verify_store

RUN = {"model_sha256": "a" * 64, "options": {"confidence": 0.8, "protect": ["liver"]}}


def test_what_was_published_is_read(store: Store, publish, labels: np.ndarray, frame: Frame) -> None:
    """Labels, regions, maps, geometry, classes and record come back as they were given."""
    corrected = publish(store, "case", labels)
    store = open_store(str(store.path))
    assert store.case_ids() == ("case",)
    assert np.array_equal(store.read("case"), corrected)
    assert np.array_equal(store.read("case", "original", np.s_[3:9, :, 20:]), labels[3:9, :, 20:])
    assert store.read("case", "confidence").ravel()[[0, -1]].tolist() == [0, 255]
    assert store.read("case", "change").max() == 2
    assert store.frame("case") == frame
    assert store.class_entries("case")[1] == {"id": 7, "name": "liver", "colour": (200, 30, 30)}
    assert store.case_record("case") == {"status": "corrected", "voxels": int((labels > 0).sum())}
    assert store.label_names("case") == ("original", "corrected", "change")
    assert store.map_names("case") == ("confidence",)
    assert store.run() == RUN
    assert store.is_complete("case")


def test_pictures_are_volumes_of_one_slice(store: Store, publish, picture_frame: Frame) -> None:
    """A 16-bit picture mask keeps its type and its frame without header."""
    picture = np.full((1, 30, 40), 300, np.uint16)
    publish(store, "picture", picture, frame=picture_frame)
    assert store.read("picture", "original").dtype == np.uint16
    assert np.array_equal(store.read("picture", "original"), picture)
    assert store.frame("picture") == picture_frame


def test_absent_things_are_named(store: Store, publish, labels: np.ndarray) -> None:
    """A case or an array that is not there is a CaseError that says what is."""
    publish(store, "case", labels)
    with pytest.raises(CaseError, match="holds no case 'other'"):
        store.read("other")
    with pytest.raises(CaseError, match="it holds original, corrected, change, confidence"):
        store.read("case", "labels")
    with pytest.raises(CaseError, match="holds no labels 'confidence'"):
        store.frame("case", "confidence")
    assert not store.is_complete("other")


def test_a_store_goes_to_other_processes(store: Store, publish, labels: np.ndarray) -> None:
    """Workers get the store itself, by pickle."""
    publish(store, "case", labels)
    assert pickle.loads(pickle.dumps(store)).case_ids() == ("case",)


def test_opening_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """Absent paths, files and strangers' folders are inputs that are not there."""
    (tmp_path / "file").write_text("")
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    for path in (tmp_path / "absent", tmp_path / "file", tmp_path):
        with pytest.raises(InputError, match="is not a"):
            open_store(path)


def test_a_store_of_a_later_schema_is_refused(store: Store) -> None:
    """An older adele does not guess at a newer layout."""
    document = store.path / "zarr.json"
    document.write_text(document.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(InputError, match="update adele"):
        open_store(store.path)


def test_an_existing_store_needs_resume_or_overwrite(store: Store) -> None:
    """Without either, nothing is touched and both are named; both at once contradict each other."""
    with pytest.raises(OutputError, match="exists already; pass --resume or --overwrite"):
        create_store(store.path, run=RUN)
    with pytest.raises(ConfigError, match="contradict"):
        create_store(store.path, run=RUN, resume=True, overwrite=True)


def test_resume_takes_up_the_same_run(store: Store, publish, labels: np.ndarray, tmp_path: Path) -> None:
    """The same identity resumes, tuples or lists; on a store that does not exist it starts."""
    publish(store, "case", labels)
    run = {**RUN, "options": {"confidence": 0.8, "protect": ("liver",)}}
    assert create_store(store.path, run=run, resume=True).case_ids() == ("case",)
    assert create_store(tmp_path / "new" / "c.zarr", run=run, resume=True).case_ids() == ()


@pytest.mark.parametrize(
    ("run", "named"),
    [
        ({**RUN, "model_sha256": "b" * 64}, "model_sha256 was 'aaa"),
        ({**RUN, "options": {"confidence": 0.9, "protect": ["liver"]}}, "options.confidence was 0.8, is 0.9"),
        ({**RUN, "seed": 1}, "seed was None, is 1"),
    ],
)
def test_resume_of_another_run_names_the_difference(store: Store, run: dict[str, object], named: str) -> None:
    """Another model or option would mix two results in one store."""
    with pytest.raises(ConfigError, match=named):
        create_store(store.path, run=run, resume=True)


def test_overwrite_starts_anew_and_leaves_nothing(store: Store, publish, labels: np.ndarray, tmp_path: Path) -> None:
    """The old cases are gone, the new store has a new id, no draft remains."""
    publish(store, "case", labels)
    new = create_store(store.path, run={"x": 1}, overwrite=True)
    assert (new.case_ids(), new.run(), new.id != store.id) == ((), {"x": 1}, True)
    assert {path.name for path in tmp_path.iterdir()} == {"cleaned.zarr", "cleaned.zarr.journal.jsonl"}
    assert read_entries(journal_path(new.path), new.id) == ()


@pytest.mark.parametrize("option", [{"overwrite": True}, {"resume": True}, {}])
def test_a_folder_that_is_no_store_is_never_touched(tmp_path: Path, option: dict[str, bool]) -> None:
    """A folder of patients survives every mistake in --out."""
    patient = tmp_path / "data" / "patient.nii"
    patient.parent.mkdir()
    patient.write_text("precious")
    with pytest.raises(OutputError):
        create_store(patient.parent, run=RUN, **option)
    assert patient.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("place", ["patient.nii", "case/labels/patient.nii"])
def test_a_store_with_a_strangers_file_is_not_overwritten(
    store: Store, publish, labels: np.ndarray, place: str
) -> None:
    """Someone put a file into our store: it is named, and nothing is deleted."""
    publish(store, "case", labels)
    (store.path / place).write_text("precious")
    with pytest.raises(OutputError, match=place):
        create_store(store.path, run=RUN, overwrite=True)
    assert (store.path / place).read_text() == "precious"
    assert store.case_ids() == ("case",)


@pytest.mark.parametrize("inside", ["inner.zarr", "case/x.zarr"])
def test_no_store_is_made_inside_another(store: Store, publish, labels: np.ndarray, inside: str) -> None:
    """It would be a stranger's there: the outer one is named and still verifies."""
    publish(store, "case", labels)
    with pytest.raises(OutputError, match=f"lies inside the store {store.path}; name another --out"):
        create_store(store.path / inside, run={"model": "x"})
    assert not (store.path / inside).exists()
    assert not verify_store(store.path)


def test_a_file_in_the_place_of_a_store_is_kept(tmp_path: Path) -> None:
    """--out on an existing file is refused with every option."""
    (tmp_path / "out").write_text("precious")
    for option in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(OutputError):
            create_store(tmp_path / "out", run=RUN, **option)
    assert (tmp_path / "out").read_text() == "precious"


def test_an_empty_folder_made_beforehand_is_fine(tmp_path: Path) -> None:
    """``mkdir out`` first is a habit, not a conflict."""
    (tmp_path / "out").mkdir()
    assert create_store(tmp_path / "out", run=RUN).case_ids() == ()


def test_an_unwritable_place_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that is a file, and a folder that may not be written, both end in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        create_store(tmp_path / "file" / "out", run=RUN)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        create_store(tmp_path / "out", run=RUN)


def test_the_worker_who_loses_the_race_for_the_root_joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers of one run start at once: the second resumes the first's store, or is told without --resume."""
    first = create_store(tmp_path / "c.zarr", run=RUN)
    monkeypatch.setattr("adelecli.store.collection._is_occupied", lambda _: False)
    assert create_store(first.path, run=RUN, resume=True).id == first.id
    with pytest.raises(OutputError, match="exists already"):
        create_store(first.path, run=RUN)


def test_a_link_to_a_store_is_followed_and_a_link_in_it_is_not(store: Store, publish, labels, tmp_path: Path) -> None:
    """--out may be a link to another disk; a link in place of a case may lead anywhere."""
    publish(store, "case", labels)
    (tmp_path / "link").symlink_to(store.path)
    assert open_store(tmp_path / "link").path == store.path
    (store.path / "other").symlink_to(store.path / "case")
    assert store.case_ids() == ("case",)
    with pytest.raises(CaseError, match="symbolic link"):
        store.read("other")


def test_a_damaged_record_is_not_believed(store: Store, publish, labels: np.ndarray) -> None:
    """One changed digit in a case's document, and the case reads as damaged."""
    publish(store, "case", labels)
    document = store.path / "case" / "zarr.json"
    document.write_text(document.read_text().replace("corrected", "predicted", 1))
    with pytest.raises(CaseError, match="damaged"):
        store.case_record("case")
    document.write_text("{")
    with pytest.raises(CaseError, match="damaged"):
        store.case_record("case")
    assert store.case_ids() == ()


def test_resume_completes_the_journal_and_clears_the_dead(store: Store, publish, labels: np.ndarray) -> None:
    """What a crash between rename and journal left out is added; the drafts of dead processes go."""
    publish(store, "case", labels)
    before = read_entries(journal_path(store.path), store.id)
    journal_path(store.path).unlink()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    draft = files.make_draft(store.path, "case")
    draft.rename(draft.with_name(draft.name.replace(f".{os.getpid()}.", f".{dead.pid}.")))
    create_store(store.path, run=RUN, resume=True)
    after = read_entries(journal_path(store.path), store.id)
    assert [(e.case, e.sha256, e.event) for e in after] == [("case", before[0].sha256, "recovered")]
    assert not draft.parent.exists()


def test_a_store_tells_itself_in_a_line_and_in_a_notebook(store, publish, labels) -> None:
    """The path and its cases."""
    publish(store, "case_1", labels)
    assert repr(store) == f"Store({str(store.path)!r}, 1 cases)"
    assert "<td>case_1</td>" in store._repr_html_()
