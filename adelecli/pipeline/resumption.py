"""Which cases of a stopped run are done: decided by content hashes, never by a file's existence.

What must hold: a case is skipped only when its inputs hash to what its record says and its stored voxels hash to the recorded
result. Changed inputs are refused before any work is done (a store must not mix results of two data sets); damaged results
are simply made again. A case that was reverted since is done: nobody wants its correction back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import CaseError, ConfigError
from adelecli.intake.formats import hash_input
from adelecli.pipeline.records import CaseRecord, Hashes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adelecli.store.collection import Store
    from adelecli.volumes.cases import Case


def hash_inputs(case: Case) -> Hashes:
    """Hashes of a case's image files and mask; the result is not known yet."""
    mask = None if case.mask is None else hash_input(case.mask)
    return Hashes(images=tuple(hash_input(path) for path in case.images), mask=mask)


def find_finished(store: Store, cases: Iterable[Case]) -> dict[str, CaseRecord]:
    """The records of the ``cases`` that need not be done again, by case id; see the module.

    Raises ``ConfigError`` naming the case and the input that changed since its result was made.
    """
    finished = {}
    for case in cases:
        record = _read_record(store, case.id)
        if record is not None:
            _check_inputs(case, record.hashes)
            status = "reverted" if store.is_reverted(case.id) else record.status
            finished[case.id] = msgspec.structs.replace(record, resumed=True, status=status)
    return finished


def _read_record(store: Store, case_id: str) -> CaseRecord | None:
    """The record of a case of which every stored byte is what was published; ``None`` when it has to be done again."""
    try:
        return msgspec.convert(store.case_record(case_id), CaseRecord) if store.is_complete(case_id) else None
    except (CaseError, msgspec.ValidationError):
        return None


def _check_inputs(case: Case, then: Hashes) -> None:
    try:
        now = hash_inputs(case)
    except CaseError:
        return  # an input that cannot be read any more is the case's own failure, and its result stays what it was
    changed = "mask" if now.mask != then.mask else "image" if now.images != then.images else None
    if changed is not None:
        path = case.mask if changed == "mask" else case.images[0]
        fact = f"the {changed} of case {case.id} changed since the run that is to be resumed"
        raise ConfigError(fact, path=path, remedy="pass --overwrite or another --out")
