"""The journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from adelecli.store.journal import append_entry, append_line, make_entry, read_entries


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    """After a crash in the middle of a line, the lines before and after it are still read."""
    path = tmp_path / "journal.jsonl"
    first, second = make_entry("s", "a", "published", "1"), make_entry("s", "b", "replaced", "2", "1")
    append_entry(path, first)
    with path.open("ab") as file:
        file.write(b'{"time": "2026')
    append_entry(path, second)
    assert read_entries(path, "s") == (first, second)
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("damage", [b"\xb5", b'{"time": "\xff"}', b"[" * 100_000])
def test_a_damaged_line_costs_only_itself(tmp_path: Path, damage: bytes) -> None:
    """A flipped bit leaves bytes that are no UTF-8; they, and what is nested without end, are skipped like a torn line."""
    path = tmp_path / "journal.jsonl"
    first, second = make_entry("s", "a", "published", "1"), make_entry("s", "b", "published", "2")
    append_entry(path, first)
    append_line(path, damage)
    append_entry(path, second)
    assert read_entries(path, "s") == (first, second)


def test_lines_of_an_earlier_store_are_not_ours(tmp_path: Path) -> None:
    """The journal of an overwritten store says nothing about the new one; no journal says nothing at all."""
    append_entry(tmp_path / "j", make_entry("old", "a", "published", "1"))
    assert read_entries(tmp_path / "j", "new") == ()
    assert read_entries(tmp_path / "absent", "new") == ()
