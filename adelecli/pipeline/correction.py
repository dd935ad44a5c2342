"""``correct``: masks in, corrected masks out, by the network's confident disagreement with them.

For each case: read mask and image and hold them to each other; ids to class indices; segment the canonical slices in which the
rule could change anything (the others would stay as they are, whatever the network said, so it is not asked); change what
``labels.correct_labels`` lets change (the one rule that training uses too); back to the source grid and its ids; quarantine a case
that would change too much; publish original, corrected and change map together with the record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from adelecli.errors import CaseError
from adelecli.intake.formats import pair_cases, read_labels
from adelecli.intake.frames import make_frame
from adelecli.keywords import read_keywords
from adelecli.labels.classes import IGNORE, ClassTable
from adelecli.labels.correction import Change, Rule, any_changed, correct_labels, find_present, may_change
from adelecli.labels.entries import list_entries
from adelecli.labels.triage import find_gaps
from adelecli.pipeline.batch import run_batch
from adelecli.pipeline.counting import count_slabs, describe_changes
from adelecli.pipeline.evidence import ConfidenceSummary, JumpCount, count_areas, cut_slices
from adelecli.pipeline.inference import ask_network, read_volume, restore_volume, segment_case
from adelecli.pipeline.options import CorrectKeywords, CorrectOptions, StrPath
from adelecli.pipeline.records import CaseRecord, Report, Status
from adelecli.pipeline.restoring import Restorer
from adelecli.pipeline.resumption import hash_inputs
from adelecli.pipeline.rules import explain_idleness, make_judge, make_rule
from adelecli.pipeline.session import Command, Outcome, Session, Treatment
from adelecli.pipeline.tables import read_table, refuse_other_ids
from adelecli.progress import Callback, ignore_progress
from adelecli.runtime.preparation import in_plane_spacing, plan_size
from adelecli.scratch import cut_slabs, let_go
from adelecli.store.arrays import hash_array
from adelecli.store.changes import map_changes
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.volumes.caselists import read_case_list
from adelecli.volumes.cases import find_masks
from adelecli.volumes.reading import check_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.labels.classes import LabelArray
    from adelecli.pipeline.inference import Answer
    from adelecli.pipeline.records import Hashes
    from adelecli.scratch import Allocate
    from adelecli.volumes.cases import Case
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.reading import Labels, Volume


_NO_CLASS = "relabel it, or use a model that knows it: the classes are the model's, whatever labels.json says"


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
    if chosen.trusted is not None:
        known = [*(case.id for case in pairing.cases), *(name for name, _ in pairing.faults)]
        chosen = replace(chosen, trusted=read_case_list(chosen.trusted, known, "trusted"))
    prepare = partial(prepare_correction, masks=folder)
    return run_batch(Command("correct", prepare), pairing, out, chosen, progress)


def prepare_correction(session: Session, masks: Path | None = None) -> Treatment:
    """How ``correct`` treats its cases in ``session``; ``ConfigError`` as ``make_rule`` and, for ``masks``, ``refuse_other_ids``."""
    options = session.options
    assert isinstance(options, CorrectOptions)
    table = read_table(session.model.contract)
    if masks is not None:
        refuse_other_ids(table, masks)
    rule = make_rule(session.model.contract, table, options)
    if not rule.active and not rule.restorable:
        session.notify(explain_idleness(options))
    return _Corrector(session, table, rule, options.max_change, options.trusted_ids)


@dataclass(frozen=True)
class _Loaded:
    """A case as it was read: hashes of its files, label ids, class indices ``[Z, Y, X]`` on the source grid, and the image."""

    hashes: Hashes
    labels: Labels
    indices: NDArray[np.uint8]
    volume: Volume


@dataclass(frozen=True)
class _Work:
    """A case after the rule: indices ``[Z, Y, X]`` on the source grid, what changed, the confidence, and how much was skipped.

    ``excess``: how much more the labels disagree with the network than honest ones would; ``None`` where nobody asked. ``gaps``: how
    many slices between labelled ones have no label, and how many pixels they should have had. ``jumps``, ``far_jumps``: see
    ``JumpCount``.
    ``restored``: the classes of which the case had nothing and got them as a whole.
    """

    after: NDArray[np.uint8]
    changes: tuple[Change, ...]
    confidence: ConfidenceSummary
    slices: int
    skipped: int
    excess: float | None = None
    gaps: tuple[int, float] = (0, 0.0)
    jumps: float | None = None
    far_jumps: float | None = None
    restored: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Corrector:
    session: Session
    table: ClassTable
    rule: Rule
    max_change: float
    trusted: frozenset[str] = frozenset()

    def read(self, case: Case) -> _Loaded:
        assert case.mask is not None  # pair_cases gives every case its mask, or makes it a fault
        allocate = self.session.scratch.allocate
        hashes = hash_inputs(case)
        labels = read_labels(case.mask, allocate, onto=case.images[0])
        volume = read_volume(case, self.session)
        check_pair(volume.geometry, labels.geometry, case)
        return _Loaded(hashes, labels, encode_volume(self.table, labels.array, allocate, path=case.mask), volume)

    def treat(self, case: Case, loaded: _Loaded) -> Outcome:
        assert case.mask is not None
        geometry, allocate, original = loaded.labels.geometry, self.session.scratch.allocate, loaded.labels.array
        work = self._correct_volume(case, loaded)
        with self.session.clock.stage("count"):
            judged = (change for index, change in enumerate(work.changes) if index not in {0, *work.restored})
            refused = any(change.share > self.max_change for change in judged)
            after = loaded.indices if refused else work.after
            result = restore_volume(self.table, after, original.dtype, allocate)
            status: Status = "quarantined" if refused else "corrected" if any_changed(work.changes) else "unchanged"
            record = CaseRecord(
                id=case.id,
                status=status,
                classes=describe_changes(self.table, work.changes, geometry),
                changed_share=max((change.share for change in work.changes[1:]), default=0.0),
                mean_confidence=work.confidence.mean,
                hashes=msgspec.structs.replace(loaded.hashes, result=hash_array(result)),
                slices=work.slices,
                skipped_slices=work.skipped,
                excess=None if work.excess is None or not math.isfinite(work.excess) else round(work.excess, 4),
                disagreement=work.confidence.disagreement(work.gaps[1]),
                gap_slices=work.gaps[0],
                jumps=work.jumps,
                far_jumps=work.far_jumps,
            )
            changed = allocate(original.shape, np.dtype(np.uint8))
            for part in cut_slabs(original):
                changed[part] = map_changes(original[part], result[part])
                let_go(changed, original, result)
        entries = list_entries(self.table)
        arrays = {
            "original": (original, entries),
            "corrected": (result, entries),
            "change": (changed, [dict(entry) for entry in CHANGE_CLASSES]),
        }
        return Outcome(record, make_frame(geometry, case.mask), arrays, work.confidence.restore_map(geometry))

    def _choose_rule(self, case: Case) -> Rule:
        """The rule of the run; for a trusted case one under which nothing may change, so that the network need not be asked."""
        if case.id not in self.trusted:
            return self.rule
        return replace(self.rule, triggered=frozenset(), gate=None, restoration=None)

    def answer(self, case: Case, loaded: _Loaded, numbers: Sequence[int]) -> Iterator[Answer]:
        axis = self.session.model.contract.grid.axis
        drawn = cut_slices(loaded.labels.geometry.to_canonical(loaded.indices), axis)
        return segment_case(loaded.volume, self.session, numbers, make_judge(self._choose_rule(case), drawn))

    def _correct_volume(self, case: Case, loaded: _Loaded) -> _Work:
        """Ask the network about the slices that could change and apply the rule to them, one by one."""
        geometry, rule = loaded.labels.geometry, self._choose_rule(case)
        axis, keep_map = self.session.model.contract.grid.axis, self.session.options.confidence_maps
        allocate = self.session.scratch.allocate
        before = loaded.indices
        after = _copy_volume(before, allocate)
        old, new = (cut_slices(geometry.to_canonical(array), axis) for array in (before, after))
        confidence = ConfidenceSummary(geometry.canonical_shape, axis, allocate if keep_map else None)
        present, open_slices = self._find_open_slices(old, rule)
        numbers = range(len(old)) if keep_map else sorted(open_slices)  # a map of confidence needs all of them
        gate, seen, jumps = rule.gate, np.zeros((4, len(self.table) - 1), np.int64), JumpCount()
        restorer = Restorer(rule, present, geometry, axis, allocate)
        for index, label, sure, own, certain in ask_network(self.session, self, case, loaded, numbers, old[0].size):
            with self.session.clock.stage("correct"):
                new[index] = correct_labels(old[index], label, sure, rule, present=present)
                if index in open_slices:
                    jumps.add(index, old[index], own)
                    seen += 0 if gate is None else gate.count(old[index], label)
                    restorer.add(index, old[index], own, certain)
                confidence.keep(index, sure)
                if (
                    index in open_slices
                ):  # where to look is told by what the network itself thinks, which outlines do not sway
                    counted = (own > 0) | ((old[index] > 0) & (old[index] != IGNORE))
                    confidence.add(certain, counted, own != old[index])
                let_go(before, after)
        with self.session.clock.stage("count"):
            scale = self._find_scale(old.shape[1:], loaded.volume.geometry)
            admitted, restored = rule.admits(seen, present, scale), restorer.choose(scale)
            if not admitted:  # its labels look like honest ones
                after = _copy_volume(before, allocate) if restored else before
            restorer.write(after, restored)
            changes = count_slabs(before, after, len(self.table))
        excess = rule.measure_excess(seen, present, scale)
        areas = count_areas(old)
        told = (find_gaps(areas), jumps.measure_excess(areas), jumps.measure_excess(areas, distance=2))
        return _Work(after, changes, confidence, len(old), len(old) - len(numbers), excess, *told, restored)

    def _find_scale(self, shape: tuple[int, ...], geometry: Geometry) -> float:
        """Pixels of a slice of the file per pixel of the network's grid, along a side (the geometric mean of both)."""
        grid = self.session.model.contract.grid
        height, width = shape
        rows, columns = plan_size(height, width, in_plane_spacing(geometry.canonical_spacing, grid.axis), grid)
        return math.sqrt(height / rows * width / columns)

    def _find_open_slices(self, slices: NDArray[np.uint8], rule: Rule) -> tuple[frozenset[int], frozenset[int]]:
        """The classes of the volume, and the slices in which ``rule`` could change anything at all."""
        with self.session.clock.stage("correct"):
            held, ignored = [], []
            for one in slices:
                held.append(find_present(one))
                ignored.append(rule.fill_ignore and bool((one == IGNORE).any()))
                let_go(slices)
            present = frozenset().union(*held)
            could = [
                may_change(classes, rule, ignored=ignore, present=present)
                for classes, ignore in zip(held, ignored, strict=True)
            ]
        return present, frozenset(index for index, possible in enumerate(could) if possible)


def encode_volume(
    table: ClassTable, labels: LabelArray, allocate: Allocate, *, path: object = None
) -> NDArray[np.uint8]:
    """``table.encode`` slab by slab, into an array that ``allocate`` makes; the same error for a label of no class."""
    indices: NDArray[np.uint8] = allocate(labels.shape, np.dtype(np.uint8))
    for part in cut_slabs(labels):
        try:
            indices[part] = table.encode(labels[part], path=path, remedy=_NO_CLASS)
        except CaseError:
            table.encode(labels, path=path, remedy=_NO_CLASS)  # its count and place are those of the volume
            raise
        let_go(indices, labels)
    return indices


def _copy_volume(volume: NDArray[np.uint8], allocate: Allocate) -> NDArray[np.uint8]:
    copy: NDArray[np.uint8] = allocate(volume.shape, volume.dtype)
    for part in cut_slabs(volume):
        copy[part] = volume[part]
        let_go(copy, volume)
    return copy
