"""What people decided about the cases of a store: one line per decision, appended beside it, never changed.

    cleaned.zarr.decisions.jsonl       a sibling, like the journal: readers warn about strangers inside a store

The last word about a case (or about one class of it) counts. A rejection is written before the labels are given back and a line
``reverted`` after, so that a kill in between leaves a rejection that is still to be carried out, never labels that changed without
a word. What must hold: a line is appended in one write and synced before anybody is told; a torn last line is skipped; lines about an
overwritten store (another id) say nothing about its successor.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from adelecli.store import journal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from adelecli.store.collection import Store

Word = Literal["accept", "reject", "edit", "open", "reverted"]
"""``edit``: to be drawn anew by a person; ``open``: an earlier word is taken back; ``reverted``: a rejection was carried out."""

Key = tuple[str, str | None]


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: when who said which word about which case, or one class of it (``part``: its name; ``None``: the whole case)."""

    time: str
    store: str
    case: str
    word: Word
    part: str | None = None
    actor: str | None = None
    note: str | None = None


def decisions_path(store: Path) -> Path:
    """The file of decisions beside ``store``."""
    return store.with_name(f"{store.name}.decisions.jsonl")


def record_decision(
    store: Store, case: str, word: Word, *, part: str | None = None, actor: str | None = None, note: str | None = None
) -> Decision:
    """Append a decision of this moment (UTC); when this returns, it is on the disk. Raises ``OSError``."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Decision(time=time, store=store.id, case=case, word=word, part=part, actor=actor, note=note)
    journal.append_line(decisions_path(store.path), msgspec.json.encode(entry))
    return entry


def read_decisions(store: Store) -> tuple[Decision, ...]:
    """All decisions about this store, oldest first; lines that cannot be read are skipped."""
    path = decisions_path(store.path)
    lines = path.read_bytes().splitlines() if path.is_file() else []
    entries = (_decode(line) for line in lines)
    return tuple(entry for entry in entries if entry is not None and entry.store == store.id)


def _decode(line: bytes) -> Decision | None:
    try:
        return msgspec.json.decode(line, type=Decision)
    except (ValueError, RecursionError):  # not JSON, not an entry, not UTF-8, nested too deeply
        return None


def settle_decisions(entries: Iterable[Decision]) -> dict[Key, Decision]:
    """The last word about each case and each class; what was taken back is absent."""
    settled: dict[Key, Decision] = {}
    for entry in entries:
        settled.pop((entry.case, entry.part), None)
        if entry.word != "open":
            settled[entry.case, entry.part] = entry
    return settled


def find_pending(entries: Iterable[Decision]) -> tuple[Decision, ...]:
    """The rejections that were not carried out: a process was killed in between, or could not."""
    return tuple(entry for entry in settle_decisions(entries).values() if entry.word == "reject")
