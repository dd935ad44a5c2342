"""The journal beside a store: one line per published case, appended after the rename.

It is an index and an audit trail, never the truth: the store is. It can be rebuilt, a torn last line is skipped, and
lines carry the store's id, so that the journal of an overwritten store says nothing about its successor. Its one
unique use: it remembers a case whose whole folder has vanished.

Each line ends in the sha256 of its own bytes up to there (``line``), behind that of the line before it (``previous``), torn or not: an
altered byte shows, and so does a line that was taken out. A line that starts a journal, or was written where files cannot be
locked, is linked to none.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from adelecli.store.locking import lock_handle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SEAL = b',"line":"'
_SEALED = 64 + len('"}')
"""Bytes from the hash of a line to its end."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: when which case of which store (its ``id``) was published, with which seal, replacing which.

    ``event`` is ``published``, ``replaced``, ``recovered`` (a line that a crash had left out) or ``reverted``.
    """

    time: str
    store: str
    event: str
    case: str
    sha256: str
    replaces: str | None = None


class _Link(msgspec.Struct):
    previous: str | None = None


def make_entry(store: str, case: str, event: str, sha256: str, replaces: str | None = None) -> Entry:
    """An entry of this moment (UTC)."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(time=time, store=store, event=event, case=case, sha256=sha256, replaces=replaces)


def append_entry(path: Path, entry: Entry) -> None:
    """Append one line in one write and sync it; a line torn by an earlier crash is closed first.

    The line is linked to the one before it (the module says how), for which the file is locked: several processes append to it.
    Raises ``OSError`` when the disk is full, or when a link that could lead elsewhere is in the journal's place.
    """
    with _opened(path) as handle:
        # Without a lock another process may append in between: a line that is linked to none is better than one linked to a wrong one.
        last = _read_last_line(handle) if lock_handle(handle) else None
        _write_line(handle, seal_line(msgspec.json.encode(entry), last), path)


def append_line(path: Path, line: bytes) -> None:
    """``append_entry`` for a line of any kind (without its newline), as it is."""
    with _opened(path) as handle:
        _write_line(handle, line, path)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def _write_line(handle: int, line: bytes, path: Path) -> None:
    size = os.fstat(handle).st_size
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    whole = b"\n" * torn + line + b"\n"
    if os.write(handle, whole) < len(whole):  # a disk that fills up takes a part and says nothing
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    os.fsync(handle)


def _read_last_line(handle: int) -> bytes | None:
    """What stands behind the last newline but one, torn or not; ``None`` for an empty file."""
    size, length = os.fstat(handle).st_size, 1 << 12
    while size:
        start = max(0, size - length)
        text = os.pread(handle, size - start, start).removesuffix(b"\n")
        if start == 0 or b"\n" in text:
            return text.rpartition(b"\n")[2]
        length *= 4
    return None


def seal_line(line: bytes, before: bytes | None) -> bytes:
    """The JSON object ``line`` with the sha256 of the line before it (if any) and of itself as its last members."""
    head = line[:-1] + (b"" if before is None else b',"previous":"' + _hash(before) + b'"')
    return head + _SEAL + _hash(head) + b'"}'


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode("ascii")


def read_entries(path: Path, store: str) -> tuple[Entry, ...]:
    """All entries about the store with this id, oldest first; lines that cannot be read are skipped."""
    if not path.is_file():
        return ()
    entries = (_decode(line) for line in path.read_bytes().split(b"\n"))
    return tuple(entry for entry in entries if entry is not None and entry.store == store)


def _decode(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (ValueError, RecursionError):  # not JSON, not an entry, not UTF-8, nested too deeply
        return None


def find_alterations(path: Path) -> Iterator[str]:
    """What was altered in the journal or lost from its middle, in words; nothing when there is no journal.

    No alteration is a line that a crash tore (the last one, or one that the line behind it knows as it is), nor a line of an earlier
    adele, which had no hashes. That lines are missing at the end cannot be told.
    """
    if not path.is_file():
        return
    *lines, tail = path.read_bytes().split(b"\n")
    before, trusted = None, True
    for number, line in enumerate(lines, 1):
        sound = _is_sound(line, may_be_torn=number < len(lines) or bool(tail))
        if not sound:
            yield f"line {number} of the journal was altered"
        elif trusted and not _follows(line, before):
            yield f"line {number} of the journal does not follow the one before it, which was altered, or lines were lost"
        before, trusted = line, sound
    behind = tail.rpartition(_SEAL)[2]
    if _SEAL in tail and len(behind) >= _SEALED and not _is_sound(tail, may_be_torn=False):
        yield f"line {len(lines) + 1} of the journal was altered"


def _is_sound(line: bytes, *, may_be_torn: bool) -> bool:
    """Whether the line is what was written, as far as it tells."""
    head, seal, digest = line.rpartition(_SEAL)
    if seal and len(digest) == _SEALED and digest.endswith(b'"}'):
        return digest[:-2] == _hash(head)
    try:
        keys = msgspec.json.decode(line, type=dict[str, object]).keys()
    except (ValueError, RecursionError):
        return may_be_torn and not (seal and len(digest) >= _SEALED)  # what a crash tore has no whole hash at its end
    return keys <= set(Entry.__struct_fields__)  # a line of an earlier adele; one with a damaged seal has a key more


def _follows(line: bytes, before: bytes | None) -> bool:
    """Whether the line is linked to the one before it, or to none."""
    try:
        previous = msgspec.json.decode(line, type=_Link).previous
    except (ValueError, RecursionError):
        return True
    return previous is None or (before is not None and previous.encode() == _hash(before))
