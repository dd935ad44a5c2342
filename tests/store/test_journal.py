"""The journal."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from adelecli.store.journal import Entry, append_entry, append_line, find_altered, make_entry, read_entries


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


def test_every_flipped_bit_of_a_line_is_found(tmp_path: Path) -> None:
    """Whatever it does to the line, its number is told and it is not believed; its last byte alone may pass for a torn line."""
    path = tmp_path / "journal.jsonl"
    first, second = make_entry("s", "a", "published", "1"), make_entry("s", "b", "replaced", "2", "1")
    append_entry(path, first)
    append_entry(path, second)
    intact = path.read_bytes()
    assert find_altered(path) == ()
    begin = intact.index(b"\n") + 1
    for place in range(begin, len(intact) - 2):
        for bit in (1, 16):
            flipped = bytes([intact[place] ^ bit])
            path.write_bytes(intact[:place] + flipped + intact[place + 1 :])
            if flipped in b"\r\n\x0b\x0c":  # splits the line: neither half is believed
                assert second not in read_entries(path, "s")
            else:
                assert find_altered(path) == (2,), (place, flipped)
                assert read_entries(path, "s") == (first,)


def test_torn_lines_and_lines_of_earlier_versions_are_not_damage(tmp_path: Path) -> None:
    """A crash leaves the beginning of a line; lines were once written without a checksum, and count."""
    path = tmp_path / "journal.jsonl"
    entry = msgspec.structs.replace(make_entry("s", "a", "published", "1"), check=None)
    append_entry(path, entry)
    whole = msgspec.json.encode(make_entry("s", "b", "published", "2"))
    for length in range(1, len(whole)):
        append_line(path, whole[:length])
    assert find_altered(path) == ()
    assert read_entries(path, "s") == (entry,)
    assert isinstance(entry, Entry)
