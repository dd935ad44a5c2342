"""What a store says about itself, as the report and the review page show it: cases, queue, classes, provenance.

Everything comes from the records that were published with the cases, so a page can be made years later, from the store alone.
Records are read leniently (a field that is missing was not measured), because older stores lack newer fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.errors import CaseError
from adelecli.labels.triage import judge_cases, order_cases, weigh_record
from adelecli.store.decisions import Decision, read_decisions, settle_decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adelecli.store.collection import Store

QUEUED = {"corrected", "quarantined"}
BINS = (-1.0, -0.5, -0.3, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Edges of the distribution of a class's change of volume; beyond them counts into the outermost."""

PHRASES = {"accept": "accepted", "edit": "to edit", "reject": "rejected", "reverted": "reverted"}
"""Words of the review as a reader is told them; ``rejected``: the labels are not back yet."""


@dataclass(frozen=True)
class CaseRow:
    """One case: its place in the queue (``None``: nothing to look at), why, and its published record.

    ``added`` and ``removed`` sum over the foreground classes, in mm3 (``unit``) or, in pictures, in pixels. ``said``: the last word
    of the review about the case, then those about single classes of it.
    """

    id: str
    status: str
    rank: int | None
    score: float
    reasons: tuple[str, ...]
    added: float
    removed: float
    unit: str
    record: Mapping[str, Any]
    said: tuple[Decision, ...] = ()

    @property
    def decision(self) -> str:
        """What was decided: one of ``PHRASES``, ``in part`` (about some classes alone), or nothing yet."""
        if self.said and self.said[0].part is None:
            return PHRASES[self.said[0].word]
        return "reverted" if self.status == "reverted" else "in part" if self.said else ""

    @property
    def classes(self) -> list[dict[str, Any]]:
        """The records of the foreground classes."""
        return list(self.record.get("classes") or [])[1:]

    @property
    def changed_share(self) -> float:
        """The largest share of a class that changed, 0..1."""
        return float(self.record.get("changed_share") or 0.0)


@dataclass(frozen=True)
class ClassRow:
    """One class over all published cases: totals (mm3 or pixels), and how its volume changed from case to case.

    ``quartiles``: 5th, 50th and 95th percentile of the change of volume, a share of the volume before; ``bins``: cases per interval
    of ``BINS``.
    """

    name: str
    place: int
    before: float
    after: float
    added: float
    removed: float
    unit: str
    cases: int
    quartiles: tuple[float, float, float] | None
    bins: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """A whole store: cases in the order of the queue (those not queued after them, by id), classes, cases by status."""

    cases: tuple[CaseRow, ...]
    classes: tuple[ClassRow, ...]
    by_status: Mapping[str, int]
    voxels: int
    changed: int

    @property
    def queue(self) -> tuple[CaseRow, ...]:
        """The cases worth a look, worst first."""
        return tuple(case for case in self.cases if case.rank)

    @property
    def decisions(self) -> Mapping[str, int]:
        """Cases by what was decided about them, the open ones of the queue as ``undecided``; empty where nothing was."""
        found = Counter(case.decision for case in self.cases if case.decision)
        waiting = sum(not case.decision for case in self.queue)
        return dict(found.most_common()) | {"undecided": waiting} if found else {}

    @property
    def changed_share(self) -> float | None:
        """Changed voxels per foreground voxel before, over all cases."""
        return self.changed / self.voxels if self.voxels else None


def summarise_store(store: Store, watch: Callable[[int, int], None] | None = None) -> Summary:
    """Read every case's record. A damaged case is listed as ``unreadable`` with the fault as its reason.

    A case that was given all its original labels back is ``reverted``, whatever the run had made of it.
    """
    records: list[Mapping[str, Any]] = []
    ids = store.case_ids()
    for number, case in enumerate(ids):
        try:
            record = store.case_record(case)
            records.append(record | {"status": "reverted"} if store.is_reverted(case) else record)
        except CaseError as error:
            records.append({"id": case, "status": "unreadable", "error": error.fact})
        if watch is not None:
            watch(number + 1, len(ids))
    rows = _rank(ids, records, _group_decisions(store))
    foreground = [
        entry for row in rows if row.status in {"corrected", "unchanged", "reverted"} for entry in row.classes
    ]
    return Summary(
        cases=rows,
        classes=_total_classes(rows),
        by_status=dict(Counter(row.status for row in rows).most_common()),
        voxels=sum(int(entry.get("voxels_before") or 0) for entry in foreground),
        changed=sum(_count_changed(row) for row in rows if row.status == "corrected"),
    )


def explain_status(row: CaseRow, *, trusted: bool = False) -> str:
    """How the figures of a case are to be read whose labels are not those of its correction; empty where they are."""
    if row.status == "quarantined":
        return "The refused correction was not stored; the original labels are shown. The figures are those of the correction."
    if row.status == "reverted":
        return "The original labels are back. The figures are those of the correction that was taken back."
    return "Trusted: its labels never change." if trusted else ""


def _group_decisions(store: Store) -> dict[str, tuple[Decision, ...]]:
    """The last words about each case: that about the whole of it first, then by class."""
    groups: dict[str, list[Decision]] = {}
    for entry in settle_decisions(read_decisions(store)).values():
        groups.setdefault(entry.case, []).append(entry)
    return {case: tuple(sorted(said, key=lambda entry: entry.part or "")) for case, said in groups.items()}


def _count_changed(row: CaseRow) -> int:
    # A relabelled voxel is added to one class and removed from another; counted over all classes it counts twice.
    classes = row.record.get("classes") or []
    return sum(int(entry["voxels_added"]) + int(entry["voxels_removed"]) for entry in classes) // 2


def _rank(
    ids: Sequence[str], records: Sequence[Mapping[str, Any]], said: Mapping[str, tuple[Decision, ...]]
) -> tuple[CaseRow, ...]:
    verdicts = judge_cases([weigh_record(record) for record in records])
    refused = [record.get("status") == "quarantined" for record in records]
    order = order_cases(verdicts, refused, ids)
    queued = [at for at in order if records[at].get("status") in QUEUED]
    ranks = {at: place for place, at in enumerate(queued, start=1)}
    rest = [at for at in range(len(ids)) if at not in ranks]
    rows = []
    for at in [*queued, *rest]:
        record, verdict = records[at], verdicts[at]
        error = record.get("error")
        reasons = (str(error),) if error else verdict.reasons
        added, removed, unit = _sum_changes(record)
        known = (ids[at], str(record.get("status")), ranks.get(at), verdict.score, reasons)
        rows.append(CaseRow(*known, added, removed, unit, record, said.get(ids[at], ())))
    return tuple(rows)


def _sum_changes(record: Mapping[str, Any]) -> tuple[float, float, str]:
    classes = list(record.get("classes") or [])[1:]
    unit = find_unit(classes)
    key = "mm3" if unit == "mm³" else "voxels"
    added, removed = (sum(float(entry[f"{key}_{what}"]) for entry in classes) for what in ("added", "removed"))
    return added, removed, unit


def find_unit(classes: Sequence[Mapping[str, Any]]) -> str:
    """``mm³`` where volumes are known, else ``px``."""
    return "mm³" if classes and classes[0].get("mm3_before") is not None else "px"


def _total_classes(rows: Sequence[CaseRow]) -> tuple[ClassRow, ...]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        for entry in row.classes if row.status in {"corrected", "unchanged", "predicted"} else ():
            groups.setdefault(str(entry["name"]), []).append(entry)
    return tuple(_total_class(name, place, entries) for place, (name, entries) in enumerate(groups.items()))


def _total_class(name: str, place: int, entries: Sequence[Mapping[str, Any]]) -> ClassRow:
    unit = find_unit(entries)
    key = "mm3" if unit == "mm³" else "voxels"
    before, after, added, removed = (
        sum(float(entry[f"{key}_{what}"] or 0.0) for entry in entries)
        for what in ("before", "after", "added", "removed")
    )
    shares = [
        (entry["voxels_after"] - entry["voxels_before"]) / entry["voxels_before"]
        for entry in entries
        if entry["voxels_before"]
    ]
    low, middle, high = np.percentile(shares, (5, 50, 95)) if shares else (0.0, 0.0, 0.0)
    bins = np.histogram(np.clip(shares, BINS[0], BINS[-1]), BINS)[0] if shares else np.zeros(len(BINS) - 1, int)
    quartiles = (float(low), float(middle), float(high)) if shares else None
    return ClassRow(
        name, place, before, after, added, removed, unit, len(entries), quartiles, tuple(int(count) for count in bins)
    )
