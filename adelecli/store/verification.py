"""A whole store, examined: the answer to "is what lies here still what was published?".

Nothing is trusted but hashes. The journal adds the one thing a store cannot say about itself: that a case has vanished.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.caseids import compose_id, explain_refusal, is_encoded, place_case
from adelecli.errors import CaseError, InputError, OutputError
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.store import journal
from adelecli.store.collection import Store, open_store
from adelecli.store.documents import adele_attributes, is_sealed, read_document
from adelecli.store.inspection import Finding, inspect_case
from adelecli.store.layout import DOCUMENT, journal_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "open_examined", "verify_store"]


def open_examined(path: Path | str) -> Store:
    """``open_store``, but ``OutputError`` where a store lies whose own document was altered or lost: damage, not absence."""
    try:
        return open_store(path)
    except InputError:
        if not _has_lost_document(Path(path)):
            raise
    raise OutputError(f"its {DOCUMENT} was altered or lost", path=path, remedy="bring it back from a copy")


def verify_store(path: Path | str, *, progress: Callback = ignore_progress) -> tuple[Finding, ...]:
    """Everything wrong with the store at ``path``: altered, lost and stray files, bad metadata, vanished cases.

    Raises ``InputError`` when ``path`` is no store of ours, ``OutputError`` when it is one whose own document is damaged. Reads
    every byte; writes nothing.
    """
    store = open_examined(path)
    findings = list(_inspect_root(store))
    folders = sorted(entry for entry in store.path.iterdir() if entry.is_dir() and not entry.is_symlink())
    remembered = _remember_names(store)
    for done, folder in enumerate(folders, 1):
        name = store.name_case(folder.name)
        case = remembered.get(name, name)  # a document that is damaged does not tell its id
        findings += inspect_case(folder, case)
        progress(Progress("verify", done, len(folders), case=case))
    return tuple(findings)


def _remember_names(store: Store) -> dict[str, str]:
    """Folder -> id of the cases that the journal knows and whose ids are no folder names."""
    ids = {entry.case for entry in journal.read_entries(journal_path(store.path), store.id)}
    places = ((place_case(case), compose_id(case)) for case in ids if explain_refusal(case) is None)
    return {place: case for place, case in places if is_encoded(place)}


def _has_lost_document(path: Path) -> bool:
    """Whether cases lie in ``path``, or a journal beside it, without the sealed document that a store has."""
    if not path.is_dir() or _is_sealed(path):  # what is sealed is what was written: of a later version, perhaps
        return False
    return journal_path(path.resolve()).is_file() or any(_is_case(folder) for folder in path.iterdir())


def _is_sealed(folder: Path) -> bool:
    try:
        return is_sealed(read_document(folder))
    except (OSError, ValueError):
        return False


def _is_case(folder: Path) -> bool:
    try:
        return "status" in adele_attributes(read_document(folder))
    except (OSError, ValueError):
        return False


def _inspect_root(store: Store) -> Iterator[Finding]:
    if not is_sealed(read_document(store.path)):
        yield Finding(None, "metadata", f"{DOCUMENT} was altered")
    for entry in sorted(store.path.iterdir()):
        if entry.is_symlink() or not (entry.is_dir() or entry.name == DOCUMENT):
            yield Finding(None, "stray", f"{entry.name} does not belong here")
    yield from _inspect_journal(store)


def _inspect_journal(store: Store) -> Iterator[Finding]:
    """What was altered in the journal, and what it remembers and the store does not say: a vanished case, an older version put back.

    A version that the journal does not know is no finding: a crash may have come between its rename and its line.
    """
    path = journal_path(store.path)
    yield from (Finding(None, "journal", fact) for fact in journal.find_alterations(path))
    known: dict[str, list[str]] = {}
    for line in journal.read_entries(path, store.id):
        known.setdefault(line.case, []).append(line.sha256)
    for case, seals in sorted(known.items()):
        try:
            folder = store.case_path(case)
            seal = adele_attributes(read_document(folder)).get("sha256") if folder.is_dir() else None
        except (CaseError, OSError, ValueError):
            continue  # told as a finding of the case, or a line that names no case
        if seal is None and not folder.is_dir():
            yield Finding(case, "journal", "was published, but has vanished")
        elif seal in seals and seal != seals[-1]:
            yield Finding(case, "journal", "is an older version than the last that was published")
