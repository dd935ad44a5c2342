"""One door to inputs of every kind: files and series (``volumes``) and zarr, here or at an address (``store``).

The two rooms do not know each other, so what reads a case, whatever it is, stands here. What must hold: the functions have the
names, results and errors of their namesakes in ``volumes``, so a caller cannot tell where a case came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import InputError
from adelecli.intake.frames import restore_geometry
from adelecli.labels.entries import rebuild_table
from adelecli.store.collection import open_store
from adelecli.store.foreign import read_foreign, read_foreign_frame
from adelecli.store.remote import hash_remote, is_remote, name_remote
from adelecli.volumes import cases, hashing, naming, reading
from adelecli.volumes.limits import find_cap
from adelecli.volumes.listing import is_series, is_zarr
from adelecli.volumes.reading import Labels, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from adelecli.labels.classes import ClassTable
    from adelecli.scratch import Allocate
    from adelecli.volumes.cases import Case, Pairing
    from adelecli.volumes.geometry import Geometry


def pair_cases(masks: Path, images: Path | None = None) -> Pairing:
    """See ``volumes.cases.pair_cases``; addresses are listed too."""
    return cases.pair_cases(masks, images, name_remote)


def list_images(images: Path) -> Pairing:
    """See ``volumes.cases.list_images``; addresses are listed too."""
    return cases.list_images(images, name_remote)


def list_masks(masks: Path) -> Pairing:
    """See ``volumes.cases.list_masks``; addresses are listed too."""
    return cases.list_masks(masks, name_remote)


def read_image(case: Case, allocate: Allocate = np.empty) -> Volume:
    """See ``volumes.reading.read_image``."""
    return reading.join_channels(case, [_read_channels(path, allocate) for path in case.images], allocate)


def read_labels(path: Path, allocate: Allocate = np.empty, *, onto: Path | Geometry | None = None) -> Labels:
    """See ``volumes.reading.read_labels``."""
    if not is_zarr(path):
        return reading.read_labels(path, allocate, onto=onto)
    array, frame = read_foreign(path, "labels", allocate, find_cap())
    return reading.to_labels(array, restore_geometry(frame, array.shape[-3:]), path, allocate)


def read_geometry(path: Path) -> Geometry:
    """See ``volumes.reading.read_geometry``; of an image."""
    if not is_zarr(path):
        return reading.read_geometry(path)
    frame, shape = read_foreign_frame(path)
    return restore_geometry(frame, shape)


def hash_input(path: Path) -> str:
    """See ``volumes.hashing.hash_file``; the content of an address hashes as that of the same folder here."""
    return hash_remote(path) if is_remote(path) else hashing.hash_file(path)


def read_class_table(place: Path) -> ClassTable | None:
    """See ``volumes.naming.read_class_table``; a store of ours names its own classes."""
    if not is_remote(place) and (place / "zarr.json").is_file():
        try:
            store = open_store(place)
        except InputError:  # somebody else's zarr
            return naming.read_class_table(place)
        names = store.case_ids()
        return rebuild_table(store.class_entries(names[0])) if names else None
    return naming.read_class_table(place)


def name_place(path: Path) -> str:
    """``path`` in full, to be written down and found again from anywhere: the absolute path, or the address as it is."""
    return str(path if is_remote(path) else path.resolve())


def is_there(path: Path) -> bool:
    """Whether a file, a series or an image still lies where it lay; addresses and series in a shared folder are asked when read."""
    return is_remote(path) or path.exists() or is_series(path)


def _read_channels(path: Path, allocate: Allocate) -> Volume:
    if not is_zarr(path):
        return reading.read_channels(path, allocate)
    array, frame = read_foreign(path, "image", allocate, find_cap())
    return Volume(array, restore_geometry(frame, array.shape[-3:]))
