"""A store as a whole: made, opened, resumed, overwritten, and read case by case.

What must hold: an existing store is only touched when asked to (``resume``, ``overwrite``); a run is only resumed by
the same run; nothing is deleted unless every file of it is a store's; readers trust hashes and a sealed status, never
a file's existence. Cases are written by ``publication``.
"""

from __future__ import annotations

import os
import uuid
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adelecli.caseids import compose_id, find_id, hash_folded, is_encoded, place_case
from adelecli.errors import CaseError, ConfigError, InputError, OutputError
from adelecli.store import files, journal, ome
from adelecli.store.arrays import Array, Region, read_array, read_header, read_shape, read_slabs, reporting_damage
from adelecli.store.documents import Document, adele_attributes, is_sealed, read_document, to_plain, write_group
from adelecli.store.forms import CaseForm, Revision, read_form
from adelecli.store.frame import Frame, Row
from adelecli.store.inspection import inspect_case
from adelecli.store.layout import DOCUMENT, SCHEMA, Shape, journal_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Store:
    """An open store; cheap to make, holds no file open, may be pickled to other processes.

    Reading a case that is absent or damaged raises ``CaseError``.
    """

    def __init__(self, path: Path, attributes: Document) -> None:
        self.path = path
        self.attributes = attributes

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self.case_ids())} cases)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the path, and the first cases."""
        ids = self.case_ids()
        rows = "".join(f"<tr><td>{escape(case)}</td></tr>" for case in ids[:10])
        more = f"<p>and {len(ids) - 10} more</p>" if len(ids) > 10 else ""
        return f"<p><b>adele store</b> {escape(str(self.path))}: {len(ids)} cases</p><table>{rows}</table>{more}"

    @property
    def id(self) -> str:
        """The random id of this store, which its journal lines carry."""
        return str(self.attributes["id"])

    def run(self) -> dict[str, Any]:
        """The identity of the run that made the store, as it was given to ``create_store``."""
        return dict(self.attributes["run"])

    def case_ids(self) -> tuple[str, ...]:
        """The published cases, sorted."""
        with os.scandir(self.path) as entries:
            folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        held = ((folder, self._attributes_of(folder)) for folder in folders)
        found = (find_id(folder, ours.get("id")) for folder, ours in held if ours.get("status") == "complete")
        return tuple(sorted(filter(None, found)))

    def _attributes_of(self, folder: str) -> Document:
        try:
            return adele_attributes(read_document(self.path / folder))
        except (OSError, ValueError):
            return {}

    @cached_property
    def taken_places(self) -> dict[str, str]:
        """What ids fold to (``caseids.hash_folded``) -> folder, at opening and of cases published since through this object."""
        return {hash_folded(name): name for name in set(os.listdir(self.path)) - {DOCUMENT}}  # noqa: PTH208 - names alone

    def name_case(self, folder: str) -> str:
        """The id of the case in a folder of the store; the folder's own name where nothing tells it."""
        return (find_id(folder, self._attributes_of(folder).get("id")) if is_encoded(folder) else None) or folder

    def remove_leftovers(self) -> None:
        """Delete the drafts of processes that have died; those of living ones stay."""
        with files.reporting_write_errors(self.path):
            files.remove_stale_drafts(self.path)

    def complete_journal(self) -> None:
        """Add the lines that a crash between a rename and its line left out."""
        with files.reporting_write_errors(self.path):
            _complete_journal(self)

    def is_complete(self, case: str) -> bool:
        """Whether the case is published and every byte of it is what was published (it is re-hashed)."""
        return not inspect_case(self.case_path(case), compose_id(case))

    def case_path(self, case: str) -> Path:
        """The folder of a case, present or not; ``CaseError`` for what can be no id, and for a link."""
        path = self.path / place_case(case)
        if path.is_symlink():
            raise CaseError("is a symbolic link", path=path, remedy="a store holds folders; remove the link")
        return path

    def read_form(self, case: str) -> CaseForm:
        """All that the case's sealed document says: hashes, record, audit trail."""
        path = self.case_path(case)
        try:
            return read_form(read_document(path))
        except FileNotFoundError as error:
            raise CaseError(f"holds no case {case!r}", path=self.path) from error
        except (OSError, ValueError) as error:
            raise CaseError(f"is damaged ({error})", path=path, remedy="run the case again with --resume") from error

    def case_record(self, case: str) -> dict[str, Any]:
        """The record that was published with the case: what the run made, whatever happened to it later (``audit``)."""
        return self.read_form(case).record

    def audit(self, case: str) -> tuple[Revision, ...]:
        """What was done to the case after the run had published it, oldest first; empty: nothing."""
        return self.read_form(case).audit

    def is_reverted(self, case: str) -> bool:
        """Whether somebody gave the case its original labels back, all of them."""
        form = self.read_form(case)
        return bool(form.audit) and form.labels.get("corrected") == form.labels.get("original")

    def label_names(self, case: str) -> tuple[str, ...]:
        """The label images of the case, in the order they were written."""
        return tuple(self.read_form(case).labels)

    def map_names(self, case: str) -> tuple[str, ...]:
        """The maps (``confidence``) of the case."""
        return tuple(self.read_form(case).maps)

    def read(self, case: str, name: str = "corrected", region: Region = ()) -> Array:
        """Labels ``[Z, Y, X]`` (ids, on the source grid) or a map (uint8, 0..255 = 0..1), or a region of it.

        Raises ``CaseError`` where the case or the array is not there or damaged.
        """
        return read_array(self._array_path(case, name), region)

    def read_slabs(self, case: str, name: str = "corrected") -> Iterator[tuple[int, Array]]:
        """The same, in order: pairs of a first index and the slab that starts there, so that no volume is held whole."""
        yield from read_slabs(self._array_path(case, name))

    def _array_path(self, case: str, name: str) -> Path:
        form = self.read_form(case)
        if name in form.labels:
            return self.case_path(case) / "labels" / name / "0"
        if name in form.maps:
            return self.case_path(case) / "maps" / name
        remedy = f"it holds {', '.join([*form.labels, *form.maps])}; only --confidence-maps makes maps of confidence"
        raise CaseError(f"holds no {name!r}", path=self.case_path(case), remedy=remedy)

    def shape(self, case: str, name: str | None = None) -> Shape:
        """``(Z, Y, X)`` of the case's label image ``name`` (of the first one by default), without reading a voxel."""
        folder, _ = self._label_image(case, name)
        return read_shape(folder / "0")

    def _label_image(self, case: str, name: str | None) -> tuple[Path, Document]:
        name = name or self.label_names(case)[0]
        if name not in self.label_names(case):
            raise CaseError(f"holds no labels {name!r}", path=self.case_path(case))
        folder = self.case_path(case) / "labels" / name
        with reporting_damage(folder):
            return folder, read_document(folder)["attributes"]

    def frame(self, case: str, name: str | None = None) -> Frame:
        """The geometry of the case's label image ``name`` (of the first one by default; they agree)."""
        folder, attributes = self._label_image(case, name)
        with reporting_damage(folder):
            ours = attributes["adele"]
            header = read_header(folder, ours) if ours["nifti_sha256"] else None
            a, b, c, d = (_row(*row) for row in ours["affine_ras_mm"])
            z, y, x = ours["spacing_mm"]
            return Frame((a, b, c, d), (z, y, x), header, str(ours["kind"]), str(ours["suffix"]))

    def class_entries(self, case: str, name: str = "corrected") -> tuple[dict[str, Any], ...]:
        """The classes of a label image: ``{"id", "name", "colour"}``, background included."""
        folder, attributes = self._label_image(case, name)
        with reporting_damage(folder):
            return ome.list_classes(attributes["ome"])


def _row(x: float, y: float, z: float, shift: float) -> Row:
    return x, y, z, shift


def open_store(path: Path | str) -> Store:
    """Open an existing store for reading; ``InputError`` when there is none, or it is not ours or damaged."""
    path = Path(path).resolve()
    attributes = _read_attributes(path) if path.is_dir() else None
    if attributes is None:
        what = "an adele store" if path.is_dir() else "a store"
        raise InputError(f"is not {what}", path=path, remedy="name a folder made by `adele correct`")
    if not isinstance(attributes["schema"], int) or attributes["schema"] > SCHEMA:
        fact = f"has schema {attributes['schema']}, this adele knows {SCHEMA}"
        raise InputError(fact, path=path, remedy="update adele")
    return Store(path, attributes)


def _read_attributes(path: Path) -> Document | None:
    try:
        document = read_document(path)
    except (OSError, ValueError):
        return None
    attributes = adele_attributes(document)
    named = isinstance(attributes.get("id"), str) and isinstance(attributes.get("run"), dict)
    return attributes if named and attributes.get("kind") == "collection" and "schema" in attributes else None


def create_store(
    path: Path | str, *, run: Mapping[str, object], overwrite: bool = False, resume: bool = False
) -> Store:
    """Make a store, or take up an existing one.

    ``run`` is the run's identity (model sha256, options; nothing that changes from start to start, such as the time): a
    resume compares all of it, and ``ConfigError`` names the first difference. ``OutputError`` when ``path`` exists and
    neither ``resume`` nor ``overwrite`` is given, when it holds anything that is not a store's, when it lies inside another
    store (which would not verify any more), or when it cannot be written.
    """
    path, identity = Path(path).resolve(), to_plain(run)
    if overwrite and resume:
        raise ConfigError("--resume and --overwrite contradict each other", remedy="give one of them")
    outer = next((folder for folder in path.parents if _read_attributes(folder) is not None), None)
    if outer is not None:
        raise OutputError(f"lies inside the store {outer}", path=path, remedy="name another --out")
    with files.reporting_write_errors(path):
        if _is_occupied(path):
            if resume:
                return _resume(path, identity)
            if not overwrite:
                raise OutputError("exists already", path=path, remedy="pass --resume or --overwrite or another --out")
            _check_all_ours(path)
        return _publish_root(path, identity, replace=overwrite, resume=resume)


def _is_occupied(path: Path) -> bool:
    # An empty folder made beforehand is as good as none.
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _check_all_ours(path: Path) -> None:
    if not path.is_dir() or _read_attributes(path) is None:
        raise OutputError("is not an adele store and will not be overwritten", path=path, remedy="name another --out")
    if (foreign := files.find_foreign(path)) is not None:
        raise OutputError(f"holds {foreign}, which is not ours to delete", path=path, remedy="name another --out")


def _publish_root(path: Path, run: Document, *, replace: bool, resume: bool) -> Store:
    attributes = {"schema": SCHEMA, "kind": "collection", "id": uuid.uuid4().hex, "run": run}
    files.remove_stale_drafts(path)
    draft = files.make_draft(path, "root")
    try:
        write_group(draft, {"adele": attributes}, seal=True)
        files.sync_tree(draft)
        try:
            files.move_into_place(draft, path, replace=replace)
        except FileExistsError as error:
            if resume:  # another worker of the same run was first
                return _resume(path, run)
            raise OutputError("exists already", path=path, remedy="pass --resume or --overwrite") from error
    finally:
        files.remove_draft(draft)
    return open_store(path)


def _resume(path: Path, run: Document) -> Store:
    if not path.is_dir() or _read_attributes(path) is None:
        raise OutputError("is not an adele store and cannot be resumed", path=path, remedy="name another --out")
    store = open_store(path)
    if not is_sealed(read_document(path)):
        raise OutputError(f"has a damaged {DOCUMENT}", path=path, remedy="start again with --overwrite")
    for name, was, now in _differences(store.run(), run):
        raise ConfigError(
            f"cannot be resumed: {name} was {was!r}, is {now!r}",
            path=path, remedy="repeat the run as it was, or pass --overwrite or another --out",
        )  # fmt: skip
    files.remove_stale_drafts(path)
    _complete_journal(store)
    return store


def _differences(was: object, now: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            yield from _differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        yield name, was, now


def _complete_journal(store: Store) -> None:
    """Add the lines that a crash between rename and journal left out."""
    path = journal_path(store.path)
    known = {(entry.case, entry.sha256) for entry in journal.read_entries(path, store.id)}
    for case in store.case_ids():
        seal = str(adele_attributes(read_document(store.case_path(case))).get("sha256"))
        if (case, seal) not in known:
            journal.append_entry(path, journal.make_entry(store.id, case, "recovered", seal))
