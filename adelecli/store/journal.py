"""The journal beside a store: one line per published case, appended after the rename.

It is an index and an audit trail, never the truth: the store is. It can be rebuilt, a torn last line is skipped, and
lines carry the store's id, so that the journal of an overwritten store says nothing about its successor. Its one
unique use: it remembers a case whose whole folder has vanished.
"""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


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


def make_entry(store: str, case: str, event: str, sha256: str, replaces: str | None = None) -> Entry:
    """An entry of this moment (UTC)."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(time=time, store=store, event=event, case=case, sha256=sha256, replaces=replaces)


def append_entry(path: Path, entry: Entry) -> None:
    """Append one line in one write and sync it; a line torn by an earlier crash is closed first.

    Raises ``OSError`` when the disk is full, or when a link that could lead elsewhere is in the journal's place.
    """
    append_line(path, msgspec.json.encode(entry))


def append_line(path: Path, line: bytes) -> None:
    """``append_entry`` for a line of any kind (without its newline)."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        whole = b"\n" * torn + line + b"\n"
        if os.write(handle, whole) < len(whole):  # a disk that fills up takes a part and says nothing
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def read_entries(path: Path, store: str) -> tuple[Entry, ...]:
    """All entries about the store with this id, oldest first; lines that cannot be read are skipped."""
    if not path.is_file():
        return ()
    entries = (_decode(line) for line in path.read_bytes().splitlines())
    return tuple(entry for entry in entries if entry is not None and entry.store == store)


def _decode(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (ValueError, RecursionError):  # not JSON, not an entry, not UTF-8, nested too deeply
        return None
