"""Label sources: a store, a folder or a file, read case by case through one door.

``evaluate`` compares any of them with any other, so nothing behind this module needs to know which it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from adelecli.errors import CaseError
from adelecli.intake.formats import list_masks, read_labels
from adelecli.intake.frames import restore_geometry
from adelecli.labels.entries import rebuild_table
from adelecli.store.collection import open_store
from adelecli.volumes.listing import is_remote, is_zarr_image
from adelecli.volumes.naming import read_class_table
from adelecli.volumes.reading import Labels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adelecli.labels.classes import ClassTable
    from adelecli.store.collection import Store
    from adelecli.volumes.cases import Case
    from adelecli.volumes.geometry import Geometry


class Source(Protocol):
    """Labels by case id."""

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Every case, sorted."""

    def read(self, case_id: str, onto: Geometry | None = None) -> Labels:
        """Label ids ``[Z, Y, X]`` on the source grid with their geometry; ``CaseError`` when they cannot be read.

        A file that leaves out empty slices is placed on the grid ``onto``, where it lies on it.
        """

    def locate(self, case_id: str) -> object:
        """Where the labels of a case lie, for errors about them."""

    def read_table(self) -> ClassTable | None:
        """The classes as far as the source names them."""


@dataclass(frozen=True)
class StoredLabels:
    """The label image ``name`` of every case of a store."""

    store: Store
    name: str

    @property
    def case_ids(self) -> tuple[str, ...]:
        """See ``Source``."""
        return tuple(sorted(self.store.case_ids()))

    def read(self, case_id: str, onto: Geometry | None = None) -> Labels:  # noqa: ARG002 - a store leaves nothing out
        """See ``Source``."""
        labels = self.store.read(case_id, self.name)
        return Labels(labels, restore_geometry(self.store.frame(case_id), labels.shape))

    def locate(self, case_id: str) -> object:
        """See ``Source``."""
        return self.store.case_path(case_id)

    def read_table(self) -> ClassTable | None:
        """See ``Source``: the classes of the first case, since one model made them all."""
        names = [case for case in self.case_ids if self.name in self.store.label_names(case)]
        return rebuild_table(self.store.class_entries(names[0], self.name)) if names else None

    def find_original(self) -> StoredLabels | None:
        """The labels before correction, where the store holds them beside these."""
        ids = self.case_ids
        held = self.name != "original" and bool(ids) and "original" in self.store.label_names(ids[0])
        return StoredLabels(self.store, "original") if held else None


@dataclass(frozen=True)
class LabelFiles:
    """The masks of a folder, or one mask file."""

    place: Path
    cases: Mapping[str, Case]
    faults: Mapping[str, CaseError]

    @property
    def case_ids(self) -> tuple[str, ...]:
        """See ``Source``."""
        return tuple(sorted({*self.cases, *self.faults}))

    def read(self, case_id: str, onto: Geometry | None = None) -> Labels:
        """See ``Source``."""
        if case_id in self.faults:
            raise self.faults[case_id]
        mask = self.cases[case_id].mask
        if mask is None:
            raise CaseError("has no mask", path=case_id)
        return read_labels(mask, onto=onto)

    def locate(self, case_id: str) -> object:
        """See ``Source``."""
        return self.cases[case_id].mask if case_id in self.cases else case_id

    def read_table(self) -> ClassTable | None:
        """See ``Source``: ``labels.json`` or ``dataset.json`` beside the masks."""
        return read_class_table(self.place)


def open_source(place: Path, name: str = "corrected") -> StoredLabels | LabelFiles:
    """Open ``place``; ``name`` chooses the label image when it is a store. Raises ``InputError`` when there are no labels."""
    if not is_remote(place) and (place / "zarr.json").exists() and not is_zarr_image(place):
        return StoredLabels(open_store(place), name)
    pairing = list_masks(place)
    return LabelFiles(place, {case.id: case for case in pairing.cases}, dict(pairing.faults))


def is_single_file(source: Source) -> bool:
    """Whether the user named one file: two of them belong together whatever they are called."""
    return isinstance(source, LabelFiles) and source.place.is_file()
