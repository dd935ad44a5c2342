"""``revert``: the original labels back to the bit, a trail that says who and why, and a store that verifies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from known_cases import make_noisy, make_truth

import adelecli
from adelecli.errors import ConfigError, InputError, OutputError
from adelecli.pipeline.correction import correct
from adelecli.pipeline.reversion import revert
from adelecli.pipeline.verification import verify
from adelecli.store.collection import open_store
from adelecli.store.documents import compute_seal
from adelecli.store.journal import read_entries
from adelecli.store.layout import journal_path


@pytest.fixture
def store(two_cases):
    """A store of two corrected cases, ``a`` and ``b``, with confidence maps."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model, confidence_maps=True)
    return open_store(two_cases.out)


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_case_gets_its_original_labels_back_bit_for_bit(store) -> None:
    """Labels, hash and map of changes are those of no correction; the other case keeps every byte; verify passes."""
    other, before = list_files(store.path / "b"), list_files(store.path / "a")
    reversion = revert(store.path, cases=["a"], reason="looked wrong", actor="dr. house")
    assert [(case.id, case.error) for case in reversion.cases] == [("a", None)]
    assert reversion.cases[0].voxels == int((make_noisy() != make_truth()).sum())
    assert np.array_equal(store.read("a"), store.read("a", "original"))
    assert np.array_equal(store.read("a", "original"), make_noisy())
    assert not store.read("a", "change").any()
    form = store.read_form("a")
    assert form.labels["corrected"] == form.labels["original"] == reversion.cases[0].result
    assert list_files(store.path / "b") == other
    kept = {path: content for path, content in before.items() if path.startswith(("labels/original", "maps"))}
    assert len(kept) > 4
    assert kept.items() <= list_files(store.path / "a").items()
    verification = verify(store.path)
    assert (verification.findings, verification.reverted, reversion.exit_code) == ((), 1, 0)


def test_who_when_why_and_from_what_stand_in_the_trail_and_in_the_journal(store) -> None:
    """The entry leads from the run's result to the original labels; the record of the run stays as it was."""
    record, seal = store.case_record("a"), store.read_form("a").sha256
    revert(store.path, cases=["a"], reason="looked wrong", actor="dr. house")
    (entry,) = store.audit("a")
    assert (entry.event, entry.actor, entry.reason, entry.classes) == ("reverted", "dr. house", "looked wrong", ())
    assert (entry.labels_before, entry.replaces) == (record["hashes"]["result"], seal)
    assert entry.time.endswith("+00:00")
    assert store.case_record("a") == record
    assert store.is_reverted("a")
    assert not store.is_reverted("b")
    assert store.audit("b") == ()
    last = read_entries(journal_path(store.path), store.id)[-1]
    assert (last.event, last.case, last.replaces) == ("reverted", "a", seal)
    assert last.sha256 == store.read_form("a").sha256


def test_only_the_voxels_of_the_named_classes_come_back(store) -> None:
    """Class 1 is the original's to the voxel, class 2 stays corrected; a second reversion makes the trail longer."""
    revert(store.path, cases=["a"], classes=["class 1"])
    noisy, truth, labels = make_noisy(), make_truth(), store.read("a")
    assert np.array_equal(labels == 1, noisy == 1)
    assert np.array_equal(labels == 2, truth == 2)
    revert(store.path, cases=["a"], classes=["2"], reason="that too")
    assert np.array_equal(store.read("a"), noisy)
    assert [entry.classes for entry in store.audit("a")] == [("class 1",), ("2",)]
    assert store.is_reverted("a")
    assert verify(store.path).findings == ()


def test_what_has_its_original_labels_is_left_as_it_is(store) -> None:
    """The second time nothing is written: same bytes, same trail."""
    revert(store.path)
    files = list_files(store.path)
    assert [case.voxels for case in revert(store.path).cases] == [0, 0]
    assert list_files(store.path) == files


def test_a_resumed_run_leaves_a_reverted_case_alone(store, two_cases) -> None:
    """It is done: its labels stay the original ones, and report and description say so."""
    revert(store.path, cases=["a"])
    report = correct(two_cases.masks, out=two_cases.out, model=two_cases.model, confidence_maps=True, resume=True)
    assert [(case.id, case.status, case.resumed) for case in report.cases] == [
        ("a", "reverted", True),
        ("b", "corrected", True),
    ]
    assert [case.id for case in report.review_queue] == ["b"]
    assert store.is_reverted("a")
    description = adelecli.info(store.path)
    assert (description.by_status, description.review) == ({"reverted": 1, "corrected": 1}, ("b",))


def test_a_damaged_case_is_not_reverted_and_does_not_stop_the_others(store) -> None:
    """Its originals cannot be trusted: it fails (3), the other one gets its labels back."""
    shard = store.path / "a" / "labels" / "original" / "0" / "c" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    reversion = revert(store.path)
    assert [(case.id, bool(case.error)) for case in reversion.cases] == [("a", True), ("b", False)]
    assert "is damaged" in str(reversion.cases[0].error)
    assert reversion.exit_code == 3
    assert json.loads(reversion.to_json())["cases"][1]["voxels"] > 0


def test_what_cannot_be_reverted_is_refused(store, two_cases) -> None:
    """Unknown cases (7) and classes (2), a string for a list (2), a store without originals (every case fails: 7)."""
    with pytest.raises(InputError, match="holds no case z"):
        revert(store.path, cases=["a", "z"])
    with pytest.raises(ConfigError, match="unknown class 'heart'"):
        revert(store.path, classes=["heart"])
    with pytest.raises(ConfigError, match="`cases` is a list"):
        revert(store.path, cases="a")
    with pytest.raises(InputError, match="is not a store"):
        revert(two_cases.masks / "none")
    adelecli.predict(two_cases.images, out=two_cases.root / "p.zarr", model=two_cases.model)
    assert revert(two_cases.root / "p.zarr").exit_code == 7
    assert not list(two_cases.root.glob(".*"))


def test_a_trail_that_does_not_lead_to_the_labels_is_found(store) -> None:
    """Even sealed: a removed, an invented or a reordered entry breaks the chain of hashes."""
    revert(store.path, cases=["a"], classes=["class 1"])
    revert(store.path, cases=["a"], classes=["class 2"])
    file = store.path / "a" / "zarr.json"
    whole = file.read_text()
    for spoil in (lambda trail: trail.pop(), lambda trail: trail.pop(0), lambda trail: trail.reverse()):
        document = json.loads(whole)
        spoil(document["attributes"]["adele"]["audit"])
        document["attributes"]["adele"]["sha256"] = compute_seal(document)
        file.write_text(json.dumps(document))
        assert "record" in {finding.what for finding in verify(store.path).findings}
    file.write_text(whole)
    assert verify(store.path).findings == ()


def test_an_older_version_put_back_is_found(store, tmp_path: Path) -> None:
    """Whoever restores the corrected version from a copy hides the reversion: the journal remembers it."""
    (store.path / "a").rename(tmp_path / "new")
    (tmp_path / "new").rename(store.path / "a")
    copy = list_files(store.path / "a")
    revert(store.path, cases=["a"])
    for path, content in copy.items():
        (store.path / "a" / path).write_bytes(content)
    assert [(finding.case, finding.what) for finding in verify(store.path).findings] == [("a", "journal")]


def test_a_disk_that_refuses_leaves_the_old_version(store, monkeypatch) -> None:
    """An error while the new version is written is told (8) and changes nothing."""
    files = list_files(store.path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adelecli.store.publication.arrays.write_volume", refuse)
    with pytest.raises(OutputError, match="No space left"):
        revert(store.path)
    assert list_files(store.path) == files
    assert verify(store.path).findings == ()
