"""``correct``: masks in, corrected masks out, by the network's confident disagreement with them.

For each case: read mask and image and hold them to each other; ids to class indices; segment the canonical slices; change what
``labels.correct_labels`` lets change (the one rule that training uses too); back to the source grid and its ids; quarantine a case
that would change too much; publish original, corrected and change map together with the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from adelecli.errors import ConfigError
from adelecli.keywords import read_keywords
from adelecli.labels.classes import IGNORE, ClassTable
from adelecli.labels.correction import Change, Rule, correct_labels, count_changes, find_present
from adelecli.labels.entries import list_entries
from adelecli.pipeline.batch import Command, Outcome, Session, run_batch
from adelecli.pipeline.frames import make_frame, read_table
from adelecli.pipeline.inference import ConfidenceSummary, cut_slices, read_volume, segment_case
from adelecli.pipeline.options import CorrectKeywords, CorrectOptions, StrPath
from adelecli.pipeline.records import CaseRecord, ClassRecord, Report, Status
from adelecli.pipeline.resumption import hash_inputs
from adelecli.progress import Callback, ignore_progress
from adelecli.store.arrays import hash_array
from adelecli.store.changes import map_changes
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.volumes.cases import find_masks, pair_cases
from adelecli.volumes.reading import check_pair, read_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from adelecli.runtime.contract import Contract
    from adelecli.volumes.cases import Case
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.reading import Volume


def correct(
    masks: StrPath | None = None,
    *,
    out: StrPath,
    progress: Callback = ignore_progress,
    **options: Unpack[CorrectKeywords],
) -> Report:
    """Correct the label files in ``masks`` and publish them into the OME-Zarr store ``out``.

    ``masks`` is a folder or a file (default: ``./masks``); the options are those of ``CorrectOptions``, and what is left out
    comes from the model's contract. Returns the ``Report``; one bad case stands in it and does not stop the others.
    Raises ``ConfigError``, ``DeviceError``, ``ModelError``, ``InputError``, ``OutputError``, and ``CaseError`` under ``fail_fast``.

    >>> report = correct("masks", out="cleaned.zarr", max_change=0.3)  # doctest: +SKIP
    """
    chosen = read_keywords(CorrectOptions, options)
    folder = Path(masks) if masks is not None else find_masks(Path())
    pairing = pair_cases(folder, Path(chosen.images) if chosen.images is not None else None)

    def prepare(session: Session) -> Callable[[Case], Outcome]:
        table = read_table(session.model.contract)
        rule = make_rule(session.model.contract, table, chosen)
        if not rule.active:
            session.notify(_explain_idleness(chosen))
        session.notify(pairing.describe_spare())
        return _Corrector(session, table, rule, chosen.max_change).treat

    return run_batch(Command("correct", prepare), pairing, out, chosen, progress)


def make_rule(contract: Contract, table: ClassTable, options: CorrectOptions) -> Rule:
    """The correction rule of a run: the contract's thresholds and triggered classes, as far as the options do not say otherwise.

    Raises ``ConfigError`` for a class that the model does not know, or one that is both to be changed and protected.
    """
    tau = [entry.tau for entry in contract.classes]
    if isinstance(options.confidence, float | int):
        tau = [float(options.confidence)] * len(tau)
    elif options.confidence is not None:
        for name, value in options.confidence.items():
            tau[table.index_of(name)] = float(value)
    triggered = frozenset(index for index, entry in enumerate(contract.classes) if entry.triggered)
    named = frozenset(table.index_of(name) for name in options.classes)
    protect = frozenset(table.index_of(name) for name in options.protect)
    if named == {0}:
        raise ConfigError("`classes` names the background alone", remedy="name the classes that may change")
    if named & protect:
        both = ", ".join(table.names[index] for index in sorted(named & protect))
        raise ConfigError(f"{both}: both in `classes` and in `protect`", remedy="leave it in one of them")
    constraint = options.constraint or contract.constraint
    return Rule(tuple(tau), (named or triggered) - {0}, constraint, protect=protect)


def _explain_idleness(options: CorrectOptions) -> str:
    if options.classes or options.protect:
        return "every class that could change is protected: no label will change"
    return (
        "no class had begun to memorise noise when the model was made: no label will change; name some with --classes"
    )


@dataclass(frozen=True)
class _Work:
    """A case after the rule: canonical indices ``[Z, Y, X]`` before and after, what they come to, and the confidence."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    changes: tuple[Change, ...]
    confidence: ConfidenceSummary


@dataclass(frozen=True)
class _Corrector:
    session: Session
    table: ClassTable
    rule: Rule
    max_change: float

    def treat(self, case: Case) -> Outcome:
        clock = self.session.clock
        assert case.mask is not None  # pair_cases gives every case its mask, or makes it a fault
        with clock.stage("read"):
            hashes = hash_inputs(case)
            labels = read_labels(case.mask)
            volume = read_volume(case, self.session)
            check_pair(volume.geometry, labels.geometry, case)
            indices = self.table.encode(labels.array, path=case.mask)
        geometry = labels.geometry
        work = self._correct_volume(geometry.to_canonical(indices), volume)
        with clock.stage("count"):
            refused = any(change.share > self.max_change for change in work.changes[1:])
            after = work.before if refused else work.after
            result = restore_ids(self.table, geometry.from_canonical(after), labels.array.dtype)
            status: Status = "quarantined" if refused else "corrected" if any_changed(work.changes) else "unchanged"
            record = CaseRecord(
                id=case.id,
                status=status,
                classes=describe_changes(self.table, work.changes, geometry),
                changed_share=max((change.share for change in work.changes[1:]), default=0.0),
                mean_confidence=work.confidence.mean,
                hashes=msgspec.structs.replace(hashes, result=hash_array(result)),
            )
        entries = list_entries(self.table)
        arrays = {
            "original": (labels.array, entries),
            "corrected": (result, entries),
            "change": (map_changes(labels.array, result), [dict(entry) for entry in CHANGE_CLASSES]),
        }
        return Outcome(record, make_frame(geometry, case.mask), arrays, work.confidence.restore_map(geometry))

    def _correct_volume(self, before: NDArray[np.uint8], volume: Volume) -> _Work:
        axis = self.session.model.contract.grid.axis
        after = before.copy()
        old, new = cut_slices(before, axis), cut_slices(after, axis)
        confidence = ConfidenceSummary(before.shape, axis, keep_map=self.session.options.confidence_maps)
        present = find_present(before)
        for index, label, sure in segment_case(volume, self.session):
            with self.session.clock.stage("correct"):
                new[index] = correct_labels(old[index], label, sure, self.rule, present=present)
                confidence.add(index, sure, (label > 0) | ((old[index] > 0) & (old[index] != IGNORE)))
        return _Work(before, after, count_changes(before, after, len(self.table)), confidence)


def any_changed(changes: tuple[Change, ...]) -> bool:
    """Whether any voxel changed its class."""
    return any(change.added or change.removed for change in changes)


def describe_changes(table: ClassTable, changes: tuple[Change, ...], geometry: Geometry) -> tuple[ClassRecord, ...]:
    """The changes of every class in voxels and, where the file has millimetres, in mm3."""
    voxel = None if geometry.kind == "raster" else float(np.prod(geometry.spacing))

    def volume(count: int) -> float | None:
        return None if voxel is None else round(count * voxel, 3)

    return tuple(
        ClassRecord(
            id=number,
            name=name,
            voxels_before=change.before,
            voxels_after=change.after,
            voxels_added=change.added,
            voxels_removed=change.removed,
            mm3_before=volume(change.before),
            mm3_after=volume(change.after),
            mm3_added=volume(change.added),
            mm3_removed=volume(change.removed),
            changed_share=round(change.share, 6),
        )
        for number, name, change in zip(table.ids, table.names, changes, strict=True)
    )


def restore_ids(
    table: ClassTable, indices: NDArray[np.uint8], dtype: np.dtype[np.unsignedinteger]
) -> NDArray[np.unsignedinteger]:
    """Indices as ids, in the mask's own ``dtype`` unless an id does not fit into it."""
    ids = table.decode(indices)
    return ids.astype(dtype) if not ids.size or ids.max() <= np.iinfo(dtype).max else ids
