"""``verify``: is what lies in a store still what was published, and is what each case's record says of it true.

The store examines its bytes and metadata (``store.verification``); added here is the chain that only ``pipeline`` knows: the
result that a record names must be the labels that lie there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import OK, CaseError, OutputError
from adelecli.pipeline.records import CaseRecord
from adelecli.progress import Callback, ignore_progress
from adelecli.store.collection import open_store
from adelecli.store.documents import adele_attributes, read_document
from adelecli.store.verification import Finding, verify_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adelecli.pipeline.options import StrPath
    from adelecli.store.collection import Store


CHAINED = {"correct", "predict"}
"""The commands whose records name their result; training's store holds records of its own."""


class Verification(msgspec.Struct, frozen=True):
    """What is wrong with a store (nothing: empty), and how many cases were examined."""

    findings: tuple[Finding, ...]
    cases: int

    @property
    def exit_code(self) -> int:
        """0 whole, 8 something is wrong."""
        return OutputError.exit_code if self.findings else OK

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def verify(store: StrPath, *, progress: Callback = ignore_progress) -> Verification:
    """Examine every byte and every record of the store at ``store``; writes nothing.

    Raises ``InputError`` when it is not a store of ours.

    >>> verify("cleaned.zarr").exit_code  # doctest: +SKIP
    0
    """
    findings = verify_store(Path(store), progress=progress)
    opened = open_store(Path(store))
    damaged = {finding.case for finding in findings}
    sound = [case for case in opened.case_ids() if case not in damaged]
    chain = tuple(finding for case in sound for finding in _check_record(opened, case))
    return Verification(findings + chain, len(opened.case_ids()))


def _check_record(store: Store, case: str) -> Iterator[Finding]:
    if store.run().get("command") not in CHAINED:
        return
    try:
        record = msgspec.convert(store.case_record(case), CaseRecord)
        published = adele_attributes(read_document(store.case_path(case)))["labels"].get("corrected")
    except (CaseError, msgspec.ValidationError) as error:
        yield Finding(case, "record", f"cannot be read ({error})")
        return
    if record.id != case:
        yield Finding(case, "record", f"is the record of {record.id!r}")
    if record.hashes.result != published:
        yield Finding(case, "record", "names another result than the labels that lie here")
