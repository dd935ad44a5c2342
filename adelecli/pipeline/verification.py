"""``verify``: is what lies in a store still what was published, and is what each case's record says of it true.

The store examines its bytes and metadata (``store.verification``); added here is the chain that only ``pipeline`` knows:

    image files, mask file -> the original labels -> model and options -> the run's result -> reverted versions -> what lies there

Every link is a hash. Those between things that lie in the store are always held to each other; source files and model are read
again where the caller says where they are, since they may have stayed in another building.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec

from adelecli.errors import OK, CaseError, OutputError
from adelecli.intake.formats import hash_input, list_images, list_masks, pair_cases, read_labels
from adelecli.keywords import read_keywords
from adelecli.pipeline.discovery import find_model
from adelecli.pipeline.options import VerifyKeywords, VerifyOptions
from adelecli.pipeline.records import CaseRecord
from adelecli.pipeline.resumption import hash_inputs
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.store.arrays import hash_array
from adelecli.store.verification import Finding, open_examined, verify_store
from adelecli.volumes.listing import is_zarr
from adelecli.volumes.reading import find_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adelecli.pipeline.options import StrPath
    from adelecli.store.collection import Store
    from adelecli.store.forms import CaseForm
    from adelecli.volumes.cases import Case


CHAINED = {"correct", "predict"}
"""The commands whose records name their result; training's store holds records of its own."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Verification(msgspec.Struct, frozen=True):
    """What is wrong with a store (nothing: empty), how many cases were examined, and how many of them were reverted.

    ``sources``: how many cases' source files were read again and held to their recorded hashes.
    """

    findings: tuple[Finding, ...]
    cases: int
    reverted: int = 0
    sources: int = 0

    @property
    def exit_code(self) -> int:
        """0 whole, 8 something is wrong."""
        return OutputError.exit_code if self.findings else OK

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def verify(store: StrPath, *, progress: Callback = ignore_progress, **options: Unpack[VerifyKeywords]) -> Verification:
    """Examine every byte and every record of the store at ``store``; writes nothing. Options are those of ``VerifyOptions``.

    Raises ``InputError`` when it is not a store of ours, or when the sources or the model that are named are not there;
    ``OutputError`` when the store's own document was altered or lost, so that no case can be told to be of it.

    >>> verify("cleaned.zarr", masks="masks", images="images").exit_code  # doctest: +SKIP
    0
    """
    chosen = read_keywords(VerifyOptions, options)
    opened = open_examined(Path(store))
    sources = _find_sources(chosen)
    findings = [*verify_store(opened.path, progress=progress), *_check_run(opened, chosen)]
    damaged = {finding.case for finding in findings}
    sound = [case for case in opened.case_ids() if case not in damaged]
    reverted = 0
    for done, case in enumerate(sound):
        form = opened.read_form(case)
        reverted += bool(form.audit)
        if opened.run().get("command") in CHAINED:
            progress(Progress("provenance", done, len(sound), case))
            findings += _check_case(case, form, sources)
    known = sum(case in sources for case in sound)
    return Verification(tuple(findings), len(opened.case_ids()), reverted, known)


def _find_sources(options: VerifyOptions) -> Mapping[str, Case]:
    masks, images = (None if place is None else Path(place) for place in (options.masks, options.images))
    if masks is not None:
        pairing = pair_cases(masks, images) if images is not None else list_masks(masks)
    elif images is not None:
        pairing = list_images(images)
    else:
        return {}
    return {case.id: case for case in pairing.cases}


def _check_run(store: Store, options: VerifyOptions) -> Iterator[Finding]:
    run = store.run()
    if run.get("command") not in CHAINED:
        return
    recorded = run.get("model")
    if not isinstance(recorded, str) or not _SHA256.fullmatch(recorded) or not isinstance(run.get("options"), dict):
        yield Finding(None, "model", "the store does not name the model and the options that made it")
    elif options.model is not None:
        path = find_model(options.model)
        if hash_input(path) != recorded:
            yield Finding(None, "model", f"{path} is not the model that made the store ({recorded})")


def _check_case(case: str, form: CaseForm, sources: Mapping[str, Case]) -> Iterator[Finding]:
    """Walk the chain of one case whose bytes and audit trail are sound."""
    try:
        record = msgspec.convert(form.record, CaseRecord)
    except msgspec.ValidationError as error:
        yield Finding(case, "record", f"cannot be read ({error})")
        return
    if record.id != case:
        yield Finding(case, "record", f"is the record of {record.id!r}")
    made = form.audit[0].labels_before if form.audit else form.labels.get("corrected")
    if record.hashes.result != made:
        yield Finding(case, "record", "names another result than the labels that lie here")
    named = (*record.hashes.images, *(() if record.status == "predicted" else (record.hashes.mask or "",)))
    if not record.hashes.images or not all(map(_SHA256.fullmatch, named)):
        yield Finding(case, "record", "does not name the files that it was made from")
    if record.status in {"unchanged", "quarantined"} and made != form.labels.get("original"):
        yield Finding(case, "record", f"says {record.status}, but its result is not the original labels")
    if case in sources:
        yield from _check_sources(sources[case], record, form)


def _is_altered(source: Case, form: CaseForm) -> bool:
    """Whether the mask reads as other labels than the original ones; a DICOM SEG, which leaves out empty frames, only says on its image."""
    assert source.mask is not None
    if not source.images and not is_zarr(source.mask) and find_kind(source.mask) == "dicom":
        return False
    labels = read_labels(source.mask, onto=source.images[0] if source.images else None)
    return hash_array(labels.array) != form.labels.get("original")


def _check_sources(source: Case, record: CaseRecord, form: CaseForm) -> Iterator[Finding]:
    try:
        now = hash_inputs(source)
        if source.images and now.images != record.hashes.images:
            yield Finding(source.id, "source", f"{source.images[0]} is not the image that the result was made from")
        if source.mask is None or record.hashes.mask is None:
            return
        if now.mask != record.hashes.mask:
            yield Finding(source.id, "source", f"{source.mask} is not the mask that the result was made from")
        elif _is_altered(source, form):
            yield Finding(source.id, "source", f"the original labels that lie here are not those of {source.mask}")
    except CaseError as error:
        yield Finding(source.id, "source", str(error))
