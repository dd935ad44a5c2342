"""One case, examined: everything is there, nothing else, and every value is what was published.

The same examination decides whether a draft may be published and whether a published case is still good, so the two
cannot disagree. The chain: a sealed case document vouches for each metadata document (sha256 of its bytes), for each
level 0 and map (sha256 of its values) and for the raw header; metadata documents say which files exist; higher levels
must be strided views of level 0.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from adelecli.errors import CaseError
from adelecli.store import ome
from adelecli.store.arrays import DAMAGE, expected_files, read_array, read_shape, read_slabs, to_bytes
from adelecli.store.documents import adele_attributes, read_document
from adelecli.store.forms import read_form
from adelecli.store.frame import decode_header
from adelecli.store.layout import DOCUMENT, HEADER_PLACE, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adelecli.store.forms import CaseForm


@dataclass(frozen=True)
class Finding:
    """Something wrong: in which case (None: the store itself), what kind of thing, and the detail in words.

    ``what`` is one of ``record``, ``metadata``, ``missing``, ``stray``, ``hash``, ``pyramid``, ``journal``, and, of the chain that
    leads to a case, ``source`` and ``model``.
    """

    case: str | None
    what: str
    detail: str


class _Fault(NamedTuple):
    what: str
    inside: str  # the path within the case's folder
    fact: str


def hash_metadata(folder: Path) -> dict[str, str]:
    """sha256 of each metadata document below a case's folder (not of its own), by path relative to it."""
    documents = sorted(folder.rglob(f"*/{DOCUMENT}"))
    return {path.relative_to(folder).as_posix(): _hash_file(path) for path in documents}


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def inspect_case(folder: Path, case: str) -> tuple[Finding, ...]:
    """Everything wrong with the case published (or drafted) in ``folder``; damage is told, never raised."""
    try:
        document = read_document(folder)
    except (OSError, ValueError) as error:
        return (Finding(case, "record", f"{DOCUMENT} cannot be read ({error})"),)
    try:
        form = read_form(document)
    except ValueError as error:
        return (Finding(case, "record", str(error)),)
    if form.id != case:
        return (Finding(case, "record", f"belongs to the case {form.id!r}"),)
    faults = [*_inspect_files(folder, form), *_inspect_metadata(folder, form)]
    faults += _inspect_audit(form)
    # Arrays are read even beside strays, but not through missing or altered files, which are named already.
    broken = {fault.inside for fault in faults if fault.what in {"missing", "metadata"}}
    faults += _inspect_arrays(folder, form, broken)
    return tuple(Finding(case, fault.what, f"{fault.inside} {fault.fact}") for fault in faults)


def _inspect_files(folder: Path, form: CaseForm) -> Iterator[_Fault]:
    present = set(_list_files(folder))
    links = {inside for inside in present if (folder / inside).is_symlink()}
    yield from (_Fault("stray", inside, "is a link") for inside in sorted(links))
    present -= links
    expected = {DOCUMENT, *form.metadata}
    for inside, digest in form.metadata.items():
        parent = inside.removesuffix(f"/{DOCUMENT}")
        if inside not in present:
            present -= _below(f"{parent}/c", present)  # nothing tells which of them belong
            continue
        try:
            if _hash_file(folder / inside) != digest:
                raise ValueError("was altered")
            if "shape" in (document := read_document(folder / parent)):
                expected |= {f"{parent}/{key}" for key in expected_files(document)}
        except DAMAGE as error:
            yield _Fault("metadata", inside, str(error))
            present -= _below(f"{parent}/c", present)
    yield from (_Fault("missing", inside, "is missing") for inside in sorted(expected - present))
    yield from (_Fault("stray", inside, "does not belong here") for inside in sorted(present - expected))


def _below(inside: str, paths: set[str]) -> set[str]:
    return {path for path in paths if path.startswith(f"{inside}/")}


def _list_files(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from ((Path(parent) / name).relative_to(folder).as_posix() for name in [*names, *links])


def _inspect_audit(form: CaseForm) -> Iterator[_Fault]:
    """The trail is a chain: each entry begins where the one before it ended, and the last ends in the labels that lie here."""
    follows = [*(entry.labels_before for entry in form.audit[1:]), form.labels.get("corrected")]
    if any(entry.labels_after != next_one for entry, next_one in zip(form.audit, follows, strict=False)):
        yield _Fault("record", "audit", "does not lead to the labels that lie here")


def _inspect_metadata(folder: Path, form: CaseForm) -> Iterator[_Fault]:
    names = list(form.labels)
    try:
        labels = read_document(folder / "labels")["attributes"]["ome"]
        yield from (_Fault("metadata", "labels", fault) for fault in ome.check_labels(labels, names))
        for name in names:
            image = read_document(folder / "labels" / name)["attributes"]["ome"]
            paths = [dataset["path"] for dataset in image["multiscales"][0]["datasets"]]
            levels = [read_document(folder / "labels" / name / path) for path in paths]
            yield from (_Fault("metadata", f"labels/{name}", fault) for fault in ome.check_label_image(image, levels))
    except DAMAGE as error:
        yield _Fault("metadata", "labels", f"cannot be checked ({error})")


def _inspect_arrays(folder: Path, form: CaseForm, broken: set[str]) -> Iterator[_Fault]:
    for name, digest in form.labels.items():
        if f"labels/{name}/{DOCUMENT}" not in broken:
            yield from _guard(_inspect_label(folder, name, digest, broken), f"labels/{name}")
    for name, digest in form.maps.items():
        if not _below(f"maps/{name}", broken):
            yield from _guard(_inspect_map(folder, name, digest), f"maps/{name}")


def _guard(faults: Iterator[_Fault], inside: str) -> Iterator[_Fault]:
    try:
        yield from faults
    except CaseError as error:
        yield _Fault("hash", inside, f"cannot be decoded: it {error.fact}")
    except DAMAGE as error:
        yield _Fault("metadata", inside, f"cannot be read ({error})")


def _inspect_map(folder: Path, name: str, digest: str) -> Iterator[_Fault]:
    values = hashlib.sha256()
    for _, slab in read_slabs(folder / "maps" / name):
        values.update(to_bytes(slab))
    if values.hexdigest() != digest:
        yield _Fault("hash", f"maps/{name}", "holds other values than were published")


def _inspect_label(folder: Path, name: str, digest: str, broken: set[str]) -> Iterator[_Fault]:
    inside, image = f"labels/{name}", folder / "labels" / name
    ours = adele_attributes(read_document(image))
    if ours["sha256_zyx_c_order"] != digest:
        yield _Fault("metadata", inside, "and its case disagree on the hash of the labels")
    if ours["nifti_sha256"] and not _below(f"{inside}/nifti", broken):
        kept = ours.get("nifti_header")
        held = [] if kept is None else [decode_header(kept)]
        if kept is None or name == HEADER_PLACE:
            held.append(read_array(image / "nifti").tobytes())
        if any(hashlib.sha256(header).hexdigest() != ours["nifti_sha256"] for header in held):
            yield _Fault("hash", f"{inside}/nifti", "is not the header that was published")
    if not _below(f"{inside}/0", broken):
        strides = {level: tuple(stride) for level, stride in enumerate(ours["strides"]) if level}
        sound = {level: stride for level, stride in strides.items() if not _below(f"{inside}/{level}", broken)}
        yield from _compare_levels(image, inside, digest, sound)


def _compare_levels(image: Path, inside: str, digest: str, strides: dict[int, Shape]) -> Iterator[_Fault]:
    """Read level 0 once, slab by slab: hash it, and compare each other level with its strided view."""
    if any(len(stride) != 3 or min(stride) < 1 for stride in strides.values()):
        raise ValueError("its strides are none")
    values, full = hashlib.sha256(), read_shape(image / "0")
    shapes = {level: tuple(-(-n // f) for n, f in zip(full, stride, strict=True)) for level, stride in strides.items()}
    differing = {level for level, shape in shapes.items() if read_shape(image / str(level)) != shape}
    for start, slab in read_slabs(image / "0"):
        values.update(to_bytes(slab))
        for level, (fz, fy, fx) in strides.items():
            first = -(-start // fz)
            view = slab[first * fz - start :: fz, ::fy, ::fx]
            if level not in differing and len(view):
                stored = read_array(image / str(level), slice(first, first + len(view)))
                if not np.array_equal(stored, view):
                    differing.add(level)
    if values.hexdigest() != digest:
        yield _Fault("hash", f"{inside}/0", "holds other values than were published")
    yield from (_Fault("pyramid", f"{inside}/{level}", "is not a view of level 0") for level in sorted(differing))
