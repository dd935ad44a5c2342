"""The desk: decisions reach the disk, rejections the labels, and a kill in between loses neither."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from restoring import Restorer
from small_stores import make_store

import adelecli
from adelecli.errors import CaseError, ConfigError, OutputError
from adelecli.reviewing.desk import Desk, find_revert
from adelecli.reviewing.exporting import format_decisions
from adelecli.store.collection import Store
from adelecli.store.decisions import find_pending, read_decisions, record_decision


def test_a_rejected_case_gets_its_labels_back_and_both_steps_are_noted(
    desk: Desk, store: Store, restorer: Restorer
) -> None:
    """The corrected labels are the original ones, bit for bit; the trail says reject, then reverted, and by whom."""
    assert [case["id"] for case in desk.list_queue()] == ["b", "c", "a"]
    described = desk.decide("b", "reject", note="wrong organ")
    np.testing.assert_array_equal(store.read("b", "corrected"), store.read("b", "original"))
    assert restorer.calls == [(("b",), (), "wrong organ", "ada")]
    assert [(entry.word, entry.actor) for entry in read_decisions(store)] == [("reject", "ada"), ("reverted", "ada")]
    assert described["word"] == "reverted"
    assert sum(described["planes"][0]["counts"]) == 0


def test_a_rejected_class_is_reverted_alone(desk: Desk, restorer: Restorer) -> None:
    """The class is handed on by its name; the whole case has no word."""
    described = desk.decide("b", "reject", part="liver")
    assert restorer.calls == [(("b",), ("liver",), "rejected in review", "ada")]
    assert described["word"] == ""
    assert described["classes"][0]["word"] == "reverted"


def test_a_rejection_that_a_kill_cut_short_is_carried_out_at_the_next_start(store: Store, restorer: Restorer) -> None:
    """The word was on the disk before the labels were touched."""
    restorer.fails = True
    with pytest.raises(KeyboardInterrupt):
        Desk(store, revert=restorer).decide("b", "reject")
    assert store.read("b", "change").any()
    restorer.fails = False
    assert Desk(store, revert=restorer).finish_pending() == (("b", None),)
    assert not store.read("b", "change").any()
    assert Desk(store, revert=restorer).finish_pending() == ()


def test_a_rejection_that_cannot_be_carried_out_keeps_nobody_from_the_others(store: Store, restorer: Restorer) -> None:
    """It is told with its case, stays pending, and the next one is carried out."""

    class Failing(Restorer):
        def __call__(self, path: Path, /, *, cases: Sequence[str], **given: Any) -> None:
            if cases == ["b"]:
                raise CaseError("b is damaged")
            super().__call__(path, cases=cases, **given)

    record_decision(store, "b", "reject")
    record_decision(store, "c", "reject")
    told = Desk(store, revert=Failing()).finish_pending()
    assert [(case, str(error)) for case, error in told] == [("b", "b is damaged"), ("c", "None")]
    assert not store.read("c", "change").any()
    assert [entry.case for entry in find_pending(read_decisions(store))] == ["b"]


def test_other_words_are_kept_and_can_be_taken_back(desk: Desk, store: Store, restorer: Restorer) -> None:
    """Accept and edit change no label; `open` takes the word back."""
    desk.decide("a", "accept")
    desk.decide("c", "edit")
    desk.decide("a", "open")
    assert {case["id"]: case["word"] for case in Desk(store).list_queue()} == {"a": "", "b": "", "c": "edit"}
    assert restorer.calls == []


def test_what_does_not_exist_is_refused(desk: Desk, store: Store) -> None:
    """An unknown word, class, case or slice; nothing is written."""
    with pytest.raises(ConfigError, match="no decision 'burn'"):
        desk.decide("a", "burn")
    with pytest.raises(ConfigError, match="no class 'spleen'"):
        desk.decide("a", "accept", part="spleen")
    with pytest.raises(CaseError, match=r"no case '\.\./a'"):
        desk.decide("../a", "accept")
    with pytest.raises(CaseError, match="no axial slice 8"):
        desk.draw_slice("a", "axial", 8)
    assert read_decisions(store) == ()


def test_a_disk_that_refuses_is_told_and_nothing_is_reverted(desk: Desk, store: Store, restorer: Restorer) -> None:
    """No label changes without a word on the disk."""
    store.path.with_name(f"{store.path.name}.decisions.jsonl").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        desk.decide("b", "reject")
    assert restorer.calls == []


def test_the_error_of_a_case_that_cannot_be_reverted_is_told(store: Store) -> None:
    """A library call that tells errors in its result, not by raising, is understood too."""

    class Failed:
        id, error = "b", "b: is damaged"

    class Result:
        cases = (Failed,)

    with pytest.raises(CaseError, match="is damaged"):
        Desk(store, revert=lambda *_, **__: Result()).decide("b", "reject")


def test_a_slice_comes_with_its_image_and_three_layers(desk: Desk) -> None:
    """Slice 2 of the axial plane: 10 x 12 pixels of 1 mm become 427 x 512."""
    drawn = desk.draw_slice("b", "axial", 2)
    assert (drawn["width"], drawn["height"]) == (427, 512)
    assert {name for name, value in drawn.items() if str(value).startswith("data:")} == {
        "image",
        "before",
        "after",
        "difference",
    }
    assert base64.b64decode(drawn["difference"].partition(",")[2]).startswith(b"\x89PNG")
    planes = {plane["name"]: plane for plane in desk.describe_case("b")["planes"]}
    assert planes["axial"]["counts"] == [0, 18, 18, 18, 18, 0, 0, 0]
    assert planes["axial"]["start"] == 1


def test_the_table_of_decisions_holds_no_formula(desk: Desk) -> None:
    """A note that begins like a formula is text for a spreadsheet."""
    desk.decide("a", "edit", note='=HYPERLINK("x")')
    rows = list(csv.DictReader(io.StringIO(format_decisions(desk.decisions()))))
    assert [(row["case"], row["decision"], row["actor"], row["note"]) for row in rows] == [
        ("a", "edit", "ada", '\'=HYPERLINK("x")')
    ]


def test_the_library_call_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this adele has a `revert`, it is that; else the error says so."""
    restore = Restorer()
    monkeypatch.setitem(adelecli.__dict__, "revert", restore)
    assert find_revert() is restore


def test_an_export_writes_the_table_and_counts_the_words(desk: Desk, store: Store) -> None:
    """`review(export=...)` serves nothing."""
    desk.decide("a", "accept")
    desk.decide("b", "reject", part="liver")
    told = adelecli.review(store.path, export=store.path.parent / "decisions.csv")
    assert (told.decisions, told.cases, told.classes) == (3, {"accept": 1}, {"reverted": 1})
    assert (store.path.parent / "decisions.csv").read_text().count("\n") == 4
    adelecli.review(store.path, export=store.path.parent / "decisions.csv")  # a table of ours is made again
    (store.path.parent / "mask.nii").write_bytes(b"labels")
    with pytest.raises(OutputError, match="is no table of decisions of adele"):
        adelecli.review(store.path, export=store.path.parent / "mask.nii")


def test_a_rejection_gives_back_that_case_alone_whatever_its_name_means_as_a_pattern(tmp_path: Path) -> None:
    """``scan [1]`` is no pattern for ``scan 1`` here; queue, slices and decisions go by the id, through the library's own revert."""
    store = make_store(tmp_path, {"scan 1": 1, "scan [1]": 2, "M\u00fcller": 3})
    desk = Desk(store, tmp_path / "images", actor="ada")
    assert [entry["id"] for entry in desk.list_queue()] == ["M\u00fcller", "scan [1]", "scan 1"]
    assert "image" in desk.draw_slice("M\u00fcller", desk.describe_case("M\u00fcller")["planes"][0]["name"], 2)
    assert desk.decide("scan [1]", "reject")["word"] == "reverted"
    assert {case: store.is_reverted(case) for case in store.case_ids()} == {
        "M\u00fcller": False,
        "scan 1": False,
        "scan [1]": True,
    }
