"""Decisions beside a store: the last word counts, and a kill loses none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.store.collection import Store
from adelecli.store.decisions import (
    Decision,
    decisions_path,
    find_pending,
    read_decisions,
    record_decision,
    settle_decisions,
)

WORDS = st.sampled_from(["accept", "reject", "edit", "open", "reverted"])


@pytest.mark.parametrize("damage", [b'{"time": "2026', b'{"time": "\xb5"}\n'])
def test_what_was_recorded_is_read_back_and_a_torn_line_is_skipped(store: Store, damage: bytes) -> None:
    """A line torn by a kill neither hides the lines before it nor spoils the one after it."""
    first = record_decision(store, "a", "accept", actor="ada", note="fine")
    with decisions_path(store.path).open("ab") as file:
        file.write(damage)
    second = record_decision(store, "a", "edit", part="liver")
    assert read_decisions(store) == (first, second)
    assert (first.note, second.part) == ("fine", "liver")


def test_decisions_about_another_store_say_nothing(store: Store) -> None:
    """An overwritten store has another id."""
    record_decision(store, "a", "accept")
    assert read_decisions(Store(store.path, {**store.attributes, "id": "other"})) == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, "liver"]), WORDS), max_size=12))
def test_the_last_word_about_each_case_and_class_counts(drawn) -> None:
    """A word that was taken back is no word; a rejection is pending until it is noted as carried out."""
    entries = [Decision(time="t", store="s", case=case, part=part, word=word) for case, part, word in drawn]
    last = {(entry.case, entry.part): entry.word for entry in entries}
    settled = {key: entry.word for key, entry in settle_decisions(entries).items()}
    assert settled == {key: word for key, word in last.items() if word != "open"}
    assert len(find_pending(entries)) == sum(word == "reject" for word in last.values())
