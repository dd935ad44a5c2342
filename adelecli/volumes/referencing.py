"""Masks that say themselves which image they were drawn on.

A DICOM SEG names the SeriesInstanceUID of its images, which is a better link than a file name; archives name files as
they like. A SEG without an image of its own name takes the id of the series it refers to. A SEG that has the name of
one series and refers to another is never paired: one of the two is wrong, and nobody can say which.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from adelecli.errors import CaseError
from adelecli.volumes.listing import Entry, is_dicom, is_remote, is_series, is_zarr
from adelecli.volumes.segments import find_references
from adelecli.volumes.series import list_series, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def follow_references(
    masks: Mapping[str, list[Entry]], images: Mapping[str, Sequence[Entry]]
) -> dict[str, list[Entry]]:
    """``masks`` by case id, with those DICOM SEG renamed that refer to an image of another name; see the module.

    ``images`` are the entries of every image by case id. A mask that cannot be read keeps its name.
    """
    series: dict[str, str] | None = None
    found: dict[str, list[Entry]] = defaultdict(list)
    for name, entries in masks.items():
        for entry in entries:
            references = _read_references(entry.path)
            if references and series is None:
                series = _list_series_ids(images)
            ids = {(series or {})[uid] for uid in references if uid in (series or {})}
            # With a name of its own it is held to its image by geometry; without one the reference decides.
            target = next(iter(ids)) if len(ids) == 1 and name not in images else name
            if len(ids) == 1 and name in images and name not in ids and name in (series or {}).values():
                target = f"{name} (refers to {next(iter(ids))})"  # no image is called so: the case fails and says why
            found[target].append(entry)
    return dict(found)


def _read_references(path: Path) -> tuple[str, ...]:
    if is_remote(path) or not _is_series(path):
        return ()
    try:
        return find_references(path)
    except CaseError:
        return ()


def _list_series_ids(images: Mapping[str, Sequence[Entry]]) -> dict[str, str]:
    """SeriesInstanceUID -> case id of every DICOM image."""
    found = {}
    for name, entries in images.items():
        for entry in entries:
            if is_remote(entry.path) or not _is_series(entry.path):
                continue
            try:
                header = read_header(list_series(entry.path)[0], ["SeriesInstanceUID"])
            except CaseError:
                continue
            found[str(header.get("SeriesInstanceUID", ""))] = name
    return found


def _is_series(path: Path) -> bool:
    return (path.is_dir() and not is_zarr(path)) or is_series(path) or is_dicom(path)
