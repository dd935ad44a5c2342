"""``revert``: the original labels back, bit for bit, for whole cases or for classes of them, and who said so and why.

A new version of the case is made beside the store and takes the old one's place in one step: the labels ``original`` and the
maps are copied as they are, ``corrected`` and ``change`` are made again, the record of the run stays what the run said, and the
audit trail grows by one entry. What must hold: killed at any moment, a case is its old or its new version; the trail is a chain
from the run's result to the labels that lie there (``store.inspection``); nothing is taken from a case that does not verify.
"""

from __future__ import annotations

import getpass
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from adelecli.caseids import select_ids
from adelecli.errors import CaseError, InputError
from adelecli.keywords import refuse_string
from adelecli.labels.entries import rebuild_table
from adelecli.pipeline.records import choose_exit_code
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.scratch import Scratch, let_go
from adelecli.store.arrays import hash_array
from adelecli.store.changes import map_changes
from adelecli.store.collection import open_store
from adelecli.store.forms import CaseForm, Revision
from adelecli.store.inspection import inspect_case
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.locking import hold_store
from adelecli.store.publication import publish_case
from adelecli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from adelecli.pipeline.options import StrPath
    from adelecli.store.collection import Store

    Labels = NDArray[np.unsignedinteger]

ORIGINAL, CORRECTED, CHANGE = "original", "corrected", "change"


class RevertedCase(msgspec.Struct, frozen=True):
    """One case: how many ``voxels`` got their label back (0: they had it, and nothing was written), or the ``error``."""

    id: str
    voxels: int = 0
    result: str | None = None
    error: str | None = None


class Reversion(msgspec.Struct, frozen=True):
    """What ``revert`` did: in which store, for which classes (empty: all), on whose word, and each case."""

    store: str
    classes: tuple[str, ...]
    actor: str
    reason: str | None
    cases: tuple[RevertedCase, ...]

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some cases failed, 7 every case failed."""
        return choose_exit_code(case.error for case in self.cases)

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def revert(
    store: StrPath,
    cases: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    reason: str | None = None,
    actor: str | None = None,
    progress: Callback = ignore_progress,
) -> Reversion:
    """Give ``cases`` of ``store`` (ids or patterns; none: all) their original labels back, and record it.

    With ``classes`` (names or ids) only the voxels that are, or were, one of them get their label back. ``actor`` is who wants it
    (default: the user's login name), ``reason`` why; both stand in the audit trail. A case that cannot be reverted stands in the
    result with its error. Raises ``InputError`` (no store, no such case), ``ConfigError``, ``OutputError``.

    >>> revert("cleaned.zarr", cases=["liver_12"], reason="contrast agent taken for tumour")  # doctest: +SKIP
    """
    refuse_string("cases", cases)
    refuse_string("classes", classes)
    cases, classes = cases or (), classes or ()
    path = Path(store)
    open_store(path)  # what is no store is told before a lock is laid beside it
    with hold_store(path):
        opened = open_store(path)
        ids = _choose_cases(opened, cases)
        opened.remove_leftovers()
        opened.complete_journal()
        word = _Word(tuple(classes), actor or _find_user(), reason)
        done = []
        for number, case in enumerate(ids):
            progress(Progress("revert", number, len(ids), case))
            done.append(_revert_case(opened, case, word, progress))
        progress(Progress("revert", len(ids), len(ids)))
    return Reversion(str(path), word.classes, word.actor, reason, tuple(done))


class _Word(msgspec.Struct, frozen=True):
    """What was asked for, by whom, and why."""

    classes: tuple[str, ...]
    actor: str
    reason: str | None


def _find_user() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container may know no name for its user
        return getpass.getuser()
    return "unknown"


def _choose_cases(store: Store, patterns: Sequence[str]) -> list[str]:
    ids = store.case_ids()
    chosen, idle = select_ids(ids, patterns)
    if idle:
        fact = f"holds no case {idle[0]}"
        raise InputError(fact, path=store.path, remedy=f"it holds {len(ids)} cases; names are case-sensitive")
    if not ids:
        raise InputError("holds no case", path=store.path, remedy="name a store made by `adele correct`")
    return chosen


def _revert_case(store: Store, case: str, word: _Word, progress: Callback) -> RevertedCase:
    try:
        return _replace_case(store, case, word)
    except CaseError as error:
        progress(Progress("case", case=case, notice=str(error)))
        return RevertedCase(case, error=str(error))


def _replace_case(store: Store, case: str, word: _Word) -> RevertedCase:
    folder, form = store.case_path(case), store.read_form(case)
    if not {ORIGINAL, CORRECTED} <= form.labels.keys():
        fact = f"holds no original labels (it holds {', '.join(form.labels)})"
        raise CaseError(fact, path=folder, remedy="only what `correct` published can be reverted")
    entries = store.class_entries(case, CORRECTED)
    chosen = _find_ids(entries, word.classes)
    findings = inspect_case(folder, case)
    if findings:
        fact, remedy = f"is damaged ({findings[0].detail})", "run the case again with --resume, or restore it"
        raise CaseError(fact, path=folder, remedy=remedy)
    scratch = Scratch(store.path.parent)
    labels, change, voxels = _restore_labels(store, case, chosen, scratch)
    result = hash_array(labels)
    if not voxels:
        return RevertedCase(case, 0, form.labels[CORRECTED])
    frame = store.frame(case, CORRECTED)
    with publish_case(store, case, event="reverted") as draft:
        for name, digest in form.labels.items():
            if name == CORRECTED:
                draft.write_labels(name, labels, frame, entries)
            elif name == CHANGE:
                draft.write_labels(name, change, frame, [dict(entry) for entry in CHANGE_CLASSES])
            else:
                draft.take_over(folder, name, digest)
        for name, digest in form.maps.items():
            draft.take_over(folder, name, digest)
        draft.set_record(form.record)
        draft.set_audit((*form.audit, _write_entry(form, word, voxels, result)))
    return RevertedCase(case, voxels, result)


def _find_ids(entries: Sequence[dict[str, object]], classes: Sequence[str]) -> list[int]:
    table = rebuild_table(entries)
    return [table.ids[table.index_of(name)] for name in classes]


def _restore_labels(
    store: Store, case: str, chosen: list[int], scratch: Scratch
) -> tuple[Labels, NDArray[np.uint8], int]:
    """The reverted labels ``[Z, Y, X]``, their map of changes, and how many voxels got their label back; slab by slab."""
    before = store.read_slabs(case, ORIGINAL)
    first = store.read(case, ORIGINAL, (slice(0, 1),) * 3).dtype
    last = store.read(case, CORRECTED, (slice(0, 1),) * 3).dtype
    shape = store.shape(case)
    labels = scratch.allocate(shape, np.dtype(first if not chosen else np.promote_types(first, last)))
    change: NDArray[np.uint8] = scratch.allocate(shape, np.dtype(np.uint8))
    voxels = 0
    for (start, old), (_, new) in zip(before, store.read_slabs(case, CORRECTED), strict=True):
        part = slice(start, start + len(old))
        back = (old != new) & (np.isin(old, chosen) | np.isin(new, chosen)) if chosen else old != new
        labels[part] = np.where(back, old, new)
        change[part] = map_changes(old, labels[part])
        voxels += int(np.count_nonzero(back))
        let_go(labels, change)
    return labels, change, voxels


def _write_entry(form: CaseForm, word: _Word, voxels: int, result: str) -> Revision:
    return Revision(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        event="reverted",
        actor=word.actor,
        reason=word.reason,
        classes=word.classes,
        voxels=voxels,
        labels_before=form.labels[CORRECTED],
        labels_after=result,
        replaces=form.sha256,
        adele=__version__,
    )
