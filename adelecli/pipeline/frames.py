"""The geometry of a case on its way from ``volumes`` into the store and back: two rooms that do not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from adelecli.labels.classes import IGNORE, ClassTable
from adelecli.store.frame import Frame, Row
from adelecli.volumes.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adelecli.runtime.contract import Contract

IGNORE_NAME = "ignore"


def make_frame(geometry: Geometry, path: Path) -> Frame:
    """What the store keeps of ``geometry`` and of the ending of the file ``path`` that it came from."""
    rows = cast("tuple[Row, Row, Row, Row]", tuple(tuple(float(value) for value in row) for row in geometry.affine))
    suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
    spacing = tuple(float(value) for value in geometry.spacing)
    return Frame(rows, (spacing[0], spacing[1], spacing[2]), geometry.header, geometry.kind, suffix)


def restore_geometry(frame: Frame, shape: tuple[int, ...]) -> Geometry:
    """The geometry of an array ``[Z, Y, X]`` of ``shape`` that the store keeps with ``frame``."""
    kind = cast("Literal['nifti', 'raster']", frame.kind)
    return Geometry(
        shape=(shape[0], shape[1], shape[2]), affine=np.array(frame.affine_ras), kind=kind, header=frame.header
    )


def read_table(contract: Contract) -> ClassTable:
    """The class table that a model's contract promises, in channel order."""
    entries = contract.classes
    return ClassTable(
        ids=tuple(entry.id for entry in entries),
        names=tuple(entry.name for entry in entries),
        ignore=contract.ignore,
        colours=tuple(entry.colour for entry in entries),
    )


def list_entries(table: ClassTable) -> list[dict[str, object]]:
    """The class entries (id, name, colour) that the store writes beside labels; the ignore label is one of them."""
    columns = zip(table.ids, table.names, table.colours, strict=True)
    entries: list[dict[str, object]] = [
        {"id": number, "name": name, "colour": colour} for number, name, colour in columns
    ]
    if table.ignore is not None and IGNORE_NAME not in table.names:
        entries.append({"id": table.ignore, "name": IGNORE_NAME, "colour": (128, 128, 128)})
    return entries


def rebuild_table(entries: Sequence[Mapping[str, Any]]) -> ClassTable:
    """The class table of entries that ``list_entries`` made and the store gave back; without an ignore entry, 255 is it."""
    classes = [entry for entry in entries if entry["name"] != IGNORE_NAME]
    ignored = [int(entry["id"]) for entry in entries if entry["name"] == IGNORE_NAME]
    ids = tuple(int(entry["id"]) for entry in classes)
    return ClassTable(
        ids=ids,
        names=tuple(str(entry["name"]) for entry in classes),
        ignore=ignored[0] if ignored else None if IGNORE in ids else IGNORE,
        colours=tuple(tuple(entry["colour"][:3]) for entry in classes),
    )
