"""Verification finds what was done to a store, and nothing where nothing was done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adelecli.errors import InputError
from adelecli.progress import Progress
from adelecli.store.arrays import write_bytes, write_volume
from adelecli.store.collection import create_store, open_store
from adelecli.store.documents import compute_seal, read_document
from adelecli.store.foreign import read_foreign
from adelecli.store.frame import Frame
from adelecli.store.inspection import inspect_case
from adelecli.store.layout import BLOCK, journal_path
from adelecli.store.publication import publish_case
from adelecli.store.verification import verify_store


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pristine")


@pytest.fixture
def damaged(pristine: Path, tmp_path: Path, publish, labels: np.ndarray) -> Path:
    """A fresh copy of a store with two cases, to be damaged; it is published once."""
    if not (pristine / "c.zarr").exists():
        store = create_store(pristine / "c.zarr", run={"model": "m"})
        publish(store, "a", labels[:, :40])
        publish(store, "b", labels[:2, :9, :9])
    shutil.copytree(pristine, tmp_path, dirs_exist_ok=True)
    return tmp_path / "c.zarr"


def findings(path: Path) -> set[tuple[str | None, str, str]]:
    return {(finding.case, finding.what, finding.detail) for finding in verify_store(path)}


def test_an_intact_store_has_no_findings(damaged: Path) -> None:
    """Nothing is wrong, each case is reported to the callback, and nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in damaged.rglob("*")}
    steps: list[Progress] = []
    assert verify_store(damaged, progress=steps.append) == ()
    assert [(step.case, step.done, step.total) for step in steps] == [("a", 1, 2), ("b", 2, 2)]
    assert {path: path.stat().st_mtime_ns for path in damaged.rglob("*")} == before


def test_what_is_no_store_cannot_be_verified(tmp_path: Path) -> None:
    """An empty answer would read as "all is well"."""
    with pytest.raises(InputError):
        verify_store(tmp_path)


def test_a_lost_shard_is_found(damaged: Path) -> None:
    """Zarr would read it as background."""
    (damaged / "a/labels/corrected/0/c/0/0/0").unlink()
    assert findings(damaged) == {("a", "missing", "labels/corrected/0/c/0/0/0 is missing")}


def test_an_emptied_shard_is_found(damaged: Path) -> None:
    """Zarr would read this, too, as background."""
    (damaged / "a/labels/corrected/1/c/0/0/0").write_bytes(b"")
    assert [(case, what) for case, what, _ in findings(damaged)] == [("a", "hash")]


def test_every_flipped_byte_is_found(damaged: Path) -> None:
    """A byte changed anywhere, in any file of a case, is found (unless it is white space between JSON values)."""
    rng = np.random.default_rng(3)
    for path in sorted(path for path in (damaged / "b").rglob("*") if path.is_file()):
        intact = path.read_bytes()
        places = [place for place in range(len(intact)) if chr(intact[place]) not in " \n" or path.name != "zarr.json"]
        for place in rng.choice(places, min(2, len(places)), replace=False):
            path.write_bytes(intact[:place] + bytes([intact[place] ^ 0x10]) + intact[place + 1 :])
            assert inspect_case(damaged / "b", "b"), (path, place)
        path.write_bytes(intact)
    assert findings(damaged) == set()


def test_a_whole_array_exchanged_for_another_is_found(damaged: Path) -> None:
    """Valid bytes that are not the published ones: only the hash tells."""
    labels = damaged / "a/labels"
    shutil.copy(labels / "original/0/c/0/0/0", labels / "corrected/0/c/0/0/0")
    assert findings(damaged) == {
        ("a", "hash", "labels/corrected/0 holds other values than were published"),
        ("a", "pyramid", "labels/corrected/1 is not a view of level 0"),
    }
    shutil.copy(labels / "corrected/nifti/c/0", labels / "corrected/nifti/kept")
    assert ("a", "stray", "labels/corrected/nifti/kept does not belong here") in findings(damaged)


def test_a_pyramid_that_shows_other_labels_is_found(damaged: Path) -> None:
    """A viewer shows the small levels; they must be views of the exact one."""
    labels = damaged / "a/labels"
    shutil.copy(labels / "original/1/c/0/0/0", labels / "corrected/1/c/0/0/0")
    assert findings(damaged) == {("a", "pyramid", "labels/corrected/1 is not a view of level 0")}


def test_altered_maps_and_headers_are_found(damaged: Path) -> None:
    """Confidence and the raw header are hashed too."""
    shutil.rmtree(damaged / "b/labels/corrected/nifti")
    write_bytes(damaged / "b/labels/corrected/nifti", bytes(348))
    document = (damaged / "b/maps/confidence/zarr.json").read_bytes()
    shutil.rmtree(damaged / "b/maps/confidence")
    write_volume(damaged / "b/maps/confidence", np.zeros((2, 9, 9), np.uint8))
    (damaged / "b/maps/confidence/zarr.json").write_bytes(document)
    assert findings(damaged) == {
        ("b", "hash", "labels/corrected/nifti is not the header that was published"),
        ("b", "hash", "maps/confidence holds other values than were published"),
    }


@pytest.mark.parametrize(
    "inside", ["zarr.json", "labels/zarr.json", "labels/corrected/zarr.json", "labels/change/0/zarr.json"]
)
def test_a_lost_document_is_found(damaged: Path, inside: str) -> None:
    """Each metadata document is vouched for by its case, and the case's own is needed."""
    (damaged / "b" / inside).unlink()
    assert {(case, what) for case, what, _ in findings(damaged)} >= {
        ("b", "record" if inside == "zarr.json" else "missing")
    }


@pytest.mark.parametrize(
    ("stray", "finding"),
    [
        ("b/labels/corrected/0/c/0/0/0.abc.partial", ("b", "stray", "labels/corrected/0/c/0/0/0.abc.partial does not belong here")),
        ("b/notes.txt", ("b", "stray", "notes.txt does not belong here")),
        ("notes.txt", (None, "stray", "notes.txt does not belong here")),
    ],
)  # fmt: skip
def test_strays_are_found(damaged: Path, stray: str, finding: tuple[str | None, str, str]) -> None:
    """Files that nobody published."""
    (damaged / stray).write_text("")
    assert findings(damaged) == {finding}


def test_links_are_found(damaged: Path) -> None:
    """A link in place of a case, or within one."""
    (damaged / "c").symlink_to(damaged / "a")
    shutil.move(damaged / "b/maps", damaged.parent / "maps")
    (damaged / "b/maps").symlink_to(damaged.parent / "maps")
    found = findings(damaged)
    assert (None, "stray", "c does not belong here") in found
    assert ("b", "stray", "maps is a link") in found


def test_a_vanished_case_is_found(damaged: Path) -> None:
    """The journal remembers it."""
    shutil.rmtree(damaged / "a")
    assert findings(damaged) == {("a", "journal", "was published, but has vanished")}


def test_an_altered_journal_is_found(damaged: Path) -> None:
    """Also where it is still JSON and names a case and a seal."""
    journal = journal_path(damaged)
    journal.write_bytes(journal.read_bytes().replace(b'"case":"a"', b'"case":"b"'))
    assert (None, "journal", "line 1 of the journal was altered") in findings(damaged)


def test_a_case_under_another_name_is_found(damaged: Path) -> None:
    """One patient's labels under another's id must not pass."""
    shutil.rmtree(damaged / "a")
    shutil.move(damaged / "b", damaged / "a")
    assert ("a", "record", "belongs to the case 'b'") in findings(damaged)


def test_an_altered_root_is_found(damaged: Path) -> None:
    """The run's identity is sealed."""
    document = damaged / "zarr.json"
    document.write_text(document.read_text().replace('"m"', '"n"'))
    assert findings(damaged) == {(None, "metadata", "zarr.json was altered")}


def reseal(case: Path, inside: str, edit: Callable[[dict], None]) -> None:
    """Edit a document and bring every hash above it up to date, as a careless tool might."""
    document = read_document(case / inside)
    edit(document)
    path = case / inside / "zarr.json"
    path.write_text(json.dumps(document))
    top = read_document(case)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    top["attributes"]["adele"]["metadata"][f"{inside}/zarr.json"] = digest
    top["attributes"]["adele"]["sha256"] = compute_seal(top)
    (case / "zarr.json").write_text(json.dumps(top))


def test_metadata_is_checked_against_the_standard_and_not_only_by_hash(damaged: Path) -> None:
    """Even resealed, metadata that breaks OME-Zarr 0.5 or contradicts the case is found."""

    def relist(document: dict) -> None:
        document["attributes"]["ome"]["labels"].append("ghost")

    def redate(document: dict) -> None:
        document["attributes"]["ome"]["version"] = "0.4"
        document["attributes"]["adele"]["sha256_zyx_c_order"] = "0" * 64

    def strip(document: dict) -> None:
        del document["attributes"]["ome"]["multiscales"]

    reseal(damaged / "b", "labels", relist)
    reseal(damaged / "b", "labels/original", redate)
    reseal(damaged / "b", "labels/change", strip)
    details = " | ".join(detail for _, _, detail in findings(damaged))
    assert "lists the labels ['original', 'corrected', 'change', 'ghost']" in details
    assert "labels/original ome version is '0.4'" in details
    assert "labels/original and its case disagree" in details
    assert "cannot be checked ('multiscales')" in details


def test_the_header_in_the_metadata_is_held_to_its_hash_too(damaged: Path) -> None:
    """Another header than the one beside the labels, or none at all, even resealed."""

    def exchange(document: dict) -> None:
        document["attributes"]["adele"]["nifti_header"] = "AAAA"

    def spoil(document: dict) -> None:
        document["attributes"]["adele"]["nifti_header"] = "???"

    reseal(damaged / "b", "labels/original", exchange)
    reseal(damaged / "b", "labels/corrected", spoil)
    assert {(what, detail[:50]) for _, what, detail in findings(damaged)} == {
        ("hash", "labels/original/nifti is not the header that was p"),
        ("metadata", "labels/corrected cannot be read (Only base64 data "),
    }


def test_a_store_of_an_earlier_version_is_read_and_has_no_findings(damaged: Path, frame: Frame) -> None:
    """Shards of 128 slices, a smaller last level, and the raw header as an array beside every label image."""
    labels = np.zeros((140, 5, 5), np.uint8)
    labels[129:] = 7
    image = damaged / "b/labels/original"
    with publish_case(open_store(damaged), "b") as draft:
        draft.write_labels("original", labels, frame, ())
        draft.set_record({})
    shutil.rmtree(image / "0")
    write_volume(image / "0", labels, shard=BLOCK)
    write_volume(image / "1", labels[::2, ::2, ::2])
    write_bytes(image / "nifti", frame.header or b"")

    def date_back(document: dict) -> None:
        ours, ome = document["attributes"]["adele"], document["attributes"]["ome"]["multiscales"][0]
        del ours["nifti_header"]
        ours["strides"].append([2, 2, 2])
        smaller = [{"type": "scale", "scale": [2 * size for size in frame.spacing_mm]}]
        ome["datasets"].append({"path": "1", "coordinateTransformations": smaller})

    for inside in ("0", "1", "nifti"):
        reseal(damaged / "b", f"labels/original/{inside}", lambda _: None)
    reseal(damaged / "b", "labels/original", date_back)
    assert inspect_case(damaged / "b", "b") == ()
    store = open_store(damaged)
    assert store.frame("b") == read_foreign(image, "labels")[1] == frame
    assert np.array_equal(store.read("b", "original"), labels)
    (image / "nifti/c/0").write_bytes(b"spoilt")
    assert inspect_case(damaged / "b", "b")


def test_is_complete_agrees_with_verify(damaged: Path) -> None:
    """Resume skips exactly the cases that verify has nothing to say about."""
    store = open_store(damaged)
    assert [store.is_complete(case) for case in ("a", "b")] == [True, True]
    (damaged / "a/labels/corrected/0/c/0/0/0").unlink()
    assert [store.is_complete(case) for case in ("a", "b")] == [False, True]
