"""The journal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from adelecli.store import journal
from adelecli.store.journal import append_entry, append_line, find_alterations, make_entry, read_entries


def write_lines(path: Path, count: int = 3, worker: str = "") -> None:
    for number in range(count):
        append_entry(path, make_entry("s", f"{worker}{number}", "published", "ab" * 32))


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


def test_every_altered_byte_is_told(tmp_path: Path) -> None:
    """Any byte, in the last line too, whether JSON is left or not; what is left alone has no findings."""
    path = tmp_path / "journal.jsonl"
    write_lines(path, 2)
    intact = path.read_bytes()
    assert list(find_alterations(path)) == []
    for place in range(len(intact)):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :])
        assert list(find_alterations(path)), (place, intact[place - 5 : place + 5])


def test_a_valid_line_with_another_value_is_named(tmp_path: Path) -> None:
    """JSON that says something else is found where it lies, and once."""
    path = tmp_path / "journal.jsonl"
    write_lines(path)
    path.write_bytes(path.read_bytes().replace(b'"case":"1"', b'"case":"9"'))
    assert list(find_alterations(path)) == ["line 2 of the journal was altered"]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_line_is_told(tmp_path: Path, lost: int) -> None:
    """The line behind it knows what it followed; of the last line nothing can be told."""
    path = tmp_path / "journal.jsonl"
    write_lines(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines) if number != lost))
    assert [fact.split(",")[0] for fact in find_alterations(path)] == [
        f"line {lost + 1} of the journal does not follow the one before it"
    ]
    path.write_bytes(b"".join(lines[:2]))
    assert list(find_alterations(path)) == []


def test_a_crash_in_any_place_of_a_line_is_no_alteration(tmp_path: Path) -> None:
    """Neither while the torn line is the last one, nor once the next start has closed it and gone on; later damage to it is."""
    path = tmp_path / "journal.jsonl"
    write_lines(path, 2)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole), 3):
        path.write_bytes(whole[:end])
        assert list(find_alterations(path)) == []
        append_entry(path, make_entry("s", "next", "published", "1"))
        assert list(find_alterations(path)) == []
    torn = whole[first + 20 : -30]
    path.write_bytes(whole[:first] + torn)
    append_entry(path, make_entry("s", "next", "published", "1"))
    path.write_bytes(path.read_bytes().replace(torn, torn[:-1]))
    assert len(list(find_alterations(path))) == 1


def test_lines_of_an_earlier_version_are_accepted_and_linked_to(tmp_path: Path) -> None:
    """They have no hashes; the first line with one vouches for the last of them."""
    path = tmp_path / "journal.jsonl"
    old = [msgspec.json.encode(make_entry("s", name, "published", "1")) for name in "ab"]
    path.write_bytes(b"\n".join(old) + b"\n")
    assert list(find_alterations(path)) == []
    write_lines(path, 1)
    append_line(path, old[0])  # an earlier version goes on with the store
    write_lines(path, 1)
    assert list(find_alterations(path)) == []
    path.write_bytes(path.read_bytes().replace(b'"case":"b"', b'"case":"c"'))
    assert len(list(find_alterations(path))) == 1


def test_writers_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    """Each line is linked to the one that lies before it, whoever wrote that; the kernel's lock is one of opened files, so threads do."""
    path = tmp_path / "journal.jsonl"
    with ThreadPoolExecutor(3) as workers:
        list(workers.map(lambda worker: write_lines(path, 20, worker), "abc"))
    assert len(read_entries(path, "s")) == 60
    assert path.read_bytes().count(b'"previous"') == 59
    assert list(find_alterations(path)) == []


def test_where_files_cannot_be_locked_lines_vouch_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a line that another process may have slipped behind would be a false alarm later."""
    monkeypatch.setattr(journal, "lock_handle", lambda _: False)
    path = tmp_path / "journal.jsonl"
    write_lines(path)
    assert b"previous" not in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b'"case":"2"', b'"case":"9"'))
    assert list(find_alterations(path)) == ["line 3 of the journal was altered"]
