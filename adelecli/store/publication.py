"""One case becomes visible: drafted beside the store, read back, synchronised, renamed in. All of it or nothing.

    with publish_case(store, "case_0001") as draft:
        draft.write_labels("original", labels, frame, classes)
        draft.write_labels("corrected", corrected, frame, classes)
        draft.write_map("confidence", confidence)
        draft.set_record({"status": "corrected"})

An exception in the body leaves no trace. A killed process leaves a draft beside the store, which the next start
removes.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.caseids import compose_id, hash_folded, is_encoded
from adelecli.errors import CaseError, OutputError
from adelecli.store import arrays, files, journal, ome
from adelecli.store.documents import adele_attributes, read_document, to_plain, write_group
from adelecli.store.inspection import hash_metadata, inspect_case
from adelecli.store.layout import BLOCK, HEADER_PLACE, journal_path, plan_strides, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from adelecli.store.arrays import Array
    from adelecli.store.collection import Store
    from adelecli.store.forms import Revision
    from adelecli.store.frame import Frame


class Draft:
    """A case being written, made by ``publish_case``. Misuse raises ``ValueError``, a refusing disk ``OutputError``."""

    def __init__(self, folder: Path, case: str) -> None:
        self.folder, self.case = folder, case
        self._labels: dict[str, str] = {}
        self._maps: dict[str, str] = {}
        self._record: dict[str, Any] | None = None
        self._shape: tuple[int, ...] | None = None
        self._audit: tuple[Revision, ...] = ()

    def write_labels(self, name: str, labels: Array, frame: Frame, classes: Sequence[Mapping[str, Any]]) -> None:
        """Write label ids ``[Z, Y, X]`` on the source grid, with pyramid, geometry and classes ``id, name, colour``.

        The type is kept: it costs memory and time to widen, and a narrower one could wrap.
        """
        if labels.dtype.kind not in "ui":
            raise ValueError(f"labels must be integers, not {labels.dtype}")
        self._check(name, labels)
        folder = self.folder / "labels" / safe_name(name)
        spacing = frame.spacing_mm if frame.is_physical else (1.0, 1.0, 1.0)
        strides = plan_strides(labels.shape, spacing)
        digest = arrays.hash_array(labels)
        ours = {
            "sha256_zyx_c_order": digest, "strides": strides, "affine_ras_mm": frame.affine_ras,
            "spacing_mm": frame.spacing_mm, "kind": frame.kind, "suffix": frame.suffix, "source": {"id": self.case},
            **frame.describe_header(),
        }  # fmt: skip
        with files.reporting_write_errors(self.folder):
            for level, (fz, fy, fx) in enumerate(strides):
                arrays.write_volume(folder / str(level), labels[::fz, ::fy, ::fx])
            if frame.header and name == HEADER_PLACE:  # for other readers; once, since every array is two more files
                arrays.write_bytes(folder / "nifti", frame.header)
            write_group(folder, {"ome": ome.build_label_image(name, frame, strides, classes), "adele": ours})
        self._labels[name] = digest

    def write_map(self, name: str, values: Array) -> None:
        """Write a map ``[Z, Y, X]`` of values in 0..1 as uint8 (1 = 255, rounded); uint8 is taken as it is."""
        self._check(name, values)
        values = _quantise(name, values)
        with files.reporting_write_errors(self.folder):
            arrays.write_volume(
                self.folder / "maps" / safe_name(name), values, {"adele": {"scale": 1 / 255}}, shard=BLOCK
            )
        self._maps[name] = arrays.hash_array(values)

    def take_over(self, folder: Path, name: str, digest: str) -> None:
        """Take the labels or the map ``name``, whose values hash to ``digest``, from another version of the case, as they are.

        The metadata that are written last do not vouch for the copy: it is examined like everything else.
        """
        kind = "labels" if (folder / "labels" / name).is_dir() else "maps"
        with files.reporting_write_errors(self.folder):
            shutil.copytree(folder / kind / safe_name(name), self.folder / kind / name, symlinks=True)
        (self._labels if kind == "labels" else self._maps)[name] = digest

    def set_audit(self, audit: Sequence[Revision]) -> None:
        """What happened to the case since the run published it, oldest first."""
        self._audit = tuple(audit)

    def set_record(self, record: Mapping[str, object]) -> None:
        """What stands in the case's metadata, as plain values: numpy and paths are converted, NaN becomes null."""
        self._record = to_plain(record)

    def _check(self, name: str, array: Array) -> None:
        if name in self._labels or name in self._maps:
            raise ValueError(f"{name} was written already")
        if array.ndim != 3 or array.size == 0:
            raise ValueError(f"{name} must be a volume [Z, Y, X], not of shape {array.shape}")
        if self._shape is not None and array.shape != self._shape:
            raise ValueError(f"{name} has shape {array.shape}, the case has {self._shape}")
        self._shape = array.shape

    def finish(self) -> str:
        """Write the metadata that says "complete", last; examine everything; sync it. Return the case's seal."""
        if not self._labels or self._record is None:
            raise ValueError("a case needs labels and a record")
        with files.reporting_write_errors(self.folder):
            write_group(self.folder / "labels", ome.build_labels(list(self._labels)))
            if self._maps:
                write_group(self.folder / "maps", {})
            ours = {
                "status": "complete", "id": self.case, "labels": self._labels, "maps": self._maps,
                "metadata": hash_metadata(self.folder), "record": self._record,
            }  # fmt: skip
            if self._audit:
                ours["audit"] = to_plain(self._audit)
            write_group(self.folder, {"adele": ours}, seal=True)
            findings = inspect_case(self.folder, self.case)
            if findings:
                fact = f"the case {self.case} could not be read back as written ({findings[0].detail})"
                raise OutputError(fact, path=self.folder, remedy="check the disk")
            files.sync_tree(self.folder)
        return str(adele_attributes(read_document(self.folder))["sha256"])


def _quantise(name: str, values: Array) -> Array:
    if values.dtype == np.uint8:
        return values
    quantised = np.empty(values.shape, np.uint8)
    for index, part in enumerate(values):  # a slice at a time: float copies of a whole volume are large
        if not (part.min() >= 0 and part.max() <= 1):  # also refuses NaN
            raise CaseError(f"{name} must lie in 0..1; slice {index} reaches from {part.min()} to {part.max()}")
        quantised[index] = np.rint(part * 255)
    return quantised


@contextmanager
def publish_case(store: Store, case: str, *, replace: bool = True, event: str = "") -> Iterator[Draft]:
    """Draft a case; leaving the block without an exception publishes it with one rename.

    An earlier version is replaced in one step (unless ``replace`` is false: then ``OutputError``, for it was published
    already). ``event`` is what the journal calls it (default: ``published`` or ``replaced``).
    Raises ``CaseError`` for what can be no id and for an id that folds together with another (``caseids``), and ``OutputError`` when
    the disk refuses, the case cannot be read back, or something that is not ours is in its place.
    """
    case, target = compose_id(case), store.case_path(case)
    _check_place(store, case, target)
    with files.reporting_write_errors(store.path):
        folder = files.make_draft(store.path, target.name)
    try:
        draft = Draft(folder, case)
        yield draft
        seal = draft.finish()
        _commit(store, draft, seal, replace=replace, event=event)
    finally:
        files.remove_draft(folder)


def _check_place(store: Store, case: str, target: Path) -> None:
    place = store.taken_places.setdefault(hash_folded(target.name), target.name)
    other = store.name_case(place)
    # An encoded place in which nothing says another id is the case's own, damaged or not; a plain one is its own id.
    if place != target.name or (is_encoded(place) and other not in {case, place}):
        fact = f"the case {case} differs from {other} only in upper and lower case, or in what some systems ignore"
        raise CaseError(fact, remedy="rename one")
    foreign = files.find_foreign(target) if target.is_dir() else target.name if target.exists() else None
    if foreign is not None:
        raise OutputError(f"holds {foreign}, which is not ours to delete", path=target, remedy="move it away")


def _commit(store: Store, draft: Draft, seal: str, *, replace: bool, event: str) -> None:
    target = store.case_path(draft.case)
    with files.reporting_write_errors(target):
        try:
            replaced = files.move_into_place(draft.folder, target, replace=replace)
        except FileExistsError as error:
            raise OutputError("was published already", path=target, remedy="pass --resume to skip it") from error
        old = _seal_of(draft.folder) if replaced else None
        event = event or ("replaced" if replaced else "published")
        entry = journal.make_entry(store.id, draft.case, event, seal, old)
        journal.append_entry(journal_path(store.path), entry)


def _seal_of(folder: Path) -> str | None:
    try:
        return str(adele_attributes(read_document(folder)).get("sha256"))
    except (OSError, ValueError):
        return None  # what was replaced was damaged: nothing to name
