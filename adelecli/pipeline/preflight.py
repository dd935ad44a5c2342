"""``check``: what a run of ``correct`` would find, before it is started; nothing is written.

Masks are read whole, as a run reads them (labels, their classes); of images only the headers, but for the one case that the probe
puts through the network. So a fault that only an image's voxels show (NaN, a damaged end) is left to the run. Estimates are
measured on this machine with this model where there is one, and absent where there is none.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from adelecli.errors import CaseError
from adelecli.intake.formats import pair_cases, read_geometry, read_labels
from adelecli.keywords import read_keywords
from adelecli.labels.classes import IGNORE, MAX_ID
from adelecli.labels.correction import find_present, may_change
from adelecli.pipeline.checkup import CheckedCase, Checkup, Machinery
from adelecli.pipeline.correction import encode_volume
from adelecli.pipeline.discovery import VARIABLE, WEIGHTS
from adelecli.pipeline.estimation import Workload, estimate_run
from adelecli.pipeline.evidence import cut_slices
from adelecli.pipeline.inference import read_volume, refuse_channels
from adelecli.pipeline.options import CheckKeywords, CheckOptions, CorrectOptions, StrPath, match_ids
from adelecli.pipeline.rules import make_rule
from adelecli.pipeline.session import open_session
from adelecli.pipeline.tables import read_table, refuse_other_ids
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.replacement import refuse_address
from adelecli.runtime.devices import describe_build
from adelecli.scratch import Scratch, cut_slabs, let_go
from adelecli.volumes.cases import find_masks
from adelecli.volumes.naming import read_class_table
from adelecli.volumes.nifti import list_concerns
from adelecli.volumes.reading import check_channels, check_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.labels.correction import Rule
    from adelecli.pipeline.checkup import Estimate
    from adelecli.pipeline.session import Session
    from adelecli.volumes.cases import Case
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.reading import Labels


@dataclass
class _Examiner:
    """Goes through the cases as a run would, and keeps what the estimates need."""

    session: Session | None
    rule: Rule | None
    table: ClassTable | None
    scratch: Scratch
    workload: Workload
    ignore: int | None = IGNORE

    def examine(self, case: Case) -> CheckedCase:
        """Hold a case to everything that a run holds it to, but for the voxels of its image."""
        assert case.mask is not None
        checked = CheckedCase(case.id, tuple(map(str, case.images)), str(case.mask))
        try:
            begin = time.perf_counter()
            labels = read_labels(case.mask, self.scratch.allocate, onto=case.images[0])
            self.workload.seconds += time.perf_counter() - begin
            geometry = labels.geometry
            checked = msgspec.structs.replace(
                checked,
                shape=geometry.shape,
                spacing_mm=None if geometry.kind == "raster" else geometry.spacing,
                axes=None if geometry.kind == "raster" else geometry.codes,
                labels=_count_labels(labels.array),
                concerns=list_concerns(geometry),
            )
            checked = msgspec.structs.replace(checked, concerns=(*checked.concerns, *self._doubt_labels(checked)))
            image = self._examine_images(case)
            check_pair(image, geometry, case)
            if self.session is not None and len(case.images) < len(self.session.model.contract.channels):
                read_volume(case, self.session)  # files of several channels each, or too few of them
            concerns = dict.fromkeys((*checked.concerns, *(f"image: {one}" for one in list_concerns(image))))
            slices, changeable = self._count_slices(labels, case)
        except CaseError as error:
            return msgspec.structs.replace(checked, error=str(error))
        self.workload.add(case, labels.array, changeable)
        return msgspec.structs.replace(checked, concerns=tuple(concerns), slices=slices, open_slices=changeable)

    def _examine_images(self, case: Case) -> Geometry:
        """The grid of the case's images, which must be one. One file has one channel or more, so only too many can be told."""
        contract = None if self.session is None else self.session.model.contract
        if contract is not None and len(case.images) > len(contract.channels):
            raise refuse_channels(case, len(case.images), contract)
        geometries = [read_geometry(path) for path in case.images]
        check_channels(case, geometries)
        return geometries[0]

    def _doubt_labels(self, checked: CheckedCase) -> Iterator[str]:
        """Black and white masks hold 0 and 255, and 255 is no class unless somebody says so."""
        if set(checked.labels) - {"0"} == {str(self.ignore)}:
            yield f"its only label is {self.ignore}, which means not annotated: nothing in it can be learnt or corrected"

    def _count_slices(self, labels: Labels, case: Case) -> tuple[int, int]:
        axis = "z" if self.session is None else self.session.model.contract.grid.axis
        indices: NDArray[np.uint8] = (
            (labels.array > 0).astype(np.uint8)
            if self.table is None
            else encode_volume(self.table, labels.array, self.scratch.allocate, path=case.mask)
        )
        held, ignored = [], []
        for one in cut_slices(labels.geometry.to_canonical(indices), axis):
            held.append(find_present(one))
            ignored.append(self.rule is not None and self.rule.fill_ignore and bool((one == IGNORE).any()))
            let_go(indices)
        if self.rule is None:
            return len(held), sum(bool(classes - {0}) for classes in held)
        present = frozenset().union(*held)
        possible = (
            may_change(classes, self.rule, ignored=ignore, present=present)
            for classes, ignore in zip(held, ignored, strict=True)
        )
        return len(held), sum(possible)


def check(
    masks: StrPath | None = None, *, progress: Callback = ignore_progress, **options: Unpack[CheckKeywords]
) -> Checkup:
    """Examine what ``correct(masks, ...)`` would work on; options are those of ``CheckOptions``. Writes nothing.

    A model is optional: with one, labels are held to its classes, and time and memory are estimated by a short probe.
    Raises ``InputError``, ``ConfigError``, and, for a model that is named or found, ``ModelError`` and ``DeviceError``.

    >>> check("masks", images="images").exit_code  # doctest: +SKIP
    0
    """
    chosen = read_keywords(CheckOptions, options)
    folder = Path(masks) if masks is not None else find_masks(Path())
    pairing = pair_cases(folder, Path(chosen.images) if chosen.images is not None else None)
    faults, usable = dict(pairing.faults), {case.id: case for case in pairing.cases}
    ids = match_ids([*usable, *faults], chosen.cases)
    session = _open_session(chosen, progress)
    table = None if session is None else read_table(session.model.contract)
    if table is not None:
        refuse_other_ids(table, folder)
    rule = None if session is None or table is None else make_rule(session.model.contract, table, CorrectOptions())
    named = table if table is not None else read_class_table(folder)
    ignore = IGNORE if named is None else named.ignore
    examiner = _Examiner(session, rule, table, Scratch(), Workload(), ignore)
    checked = []
    for done, name in enumerate(sorted(ids)):
        progress(Progress("check", done, len(ids), name))
        fault = faults.get(name)
        checked.append(examiner.examine(usable[name]) if fault is None else CheckedCase(name, error=str(fault)))
    notices = tuple(filter(None, (pairing.describe_spare(), *(() if session is None else session.notices))))
    out = refuse_address(chosen.out if chosen.out is not None else "cleaned.zarr")
    estimate = estimate_run(examiner.workload, session, out)
    return Checkup(
        cases=tuple(checked),
        labels=_add_up(case.labels for case in checked),
        names={} if named is None else {str(i): name for i, name in zip(named.ids, named.names, strict=True)},
        estimate=estimate,
        machinery=_describe_machinery(session),
        notices=(*notices, *_list_worries(estimate, session)),
    )


def _open_session(options: CheckOptions, progress: Callback) -> Session | None:
    """The session of a run; ``None`` when no model is named and none is to be found."""
    found = options.model is not None or os.environ.get(VARIABLE) or any(WEIGHTS.glob("*.onnx"))
    if not found:
        return None
    batch = CorrectOptions(model=options.model, device=options.device)
    return open_session(batch, progress, None)  # not begun: its notices stand in the answer, and are not told twice


def _count_labels(labels: NDArray[np.unsignedinteger]) -> dict[str, int]:
    total = np.zeros(MAX_ID + 1, np.int64)
    for part in cut_slabs(labels):
        total += np.bincount(labels[part].ravel(), minlength=len(total))
        let_go(labels)
    return {str(number): int(total[number]) for number in np.flatnonzero(total)}


def _add_up(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return {number: total[number] for number in sorted(total, key=int)}


def _describe_machinery(session: Session | None) -> Machinery:
    build = describe_build()
    model = None if session is None else str(session.model.path)
    device = None if session is None else session.model.device.name
    return Machinery(model, device, build.version, build.packages, build.cuda, build.problem)


def _list_worries(estimate: Estimate, session: Session | None) -> Iterator[str]:
    if session is None:
        yield "no model was named or found: labels are not held to its classes, time and memory are not estimated"
    needed = estimate.disk_mb + estimate.scratch_mb
    if needed > estimate.free_mb:
        yield f"the store needs about {needed} MB, and {estimate.free_mb} MB are free; name a larger disk with --out"
