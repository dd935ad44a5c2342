"""What a correction did to a volume, counted slab by slab: per class, per slice, and in the words of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.labels.correction import Change, add_changes, count_changes
from adelecli.pipeline.records import ClassRecord
from adelecli.scratch import cut_slabs, let_go

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.volumes.geometry import Geometry


def count_slabs(before: NDArray[np.uint8], after: NDArray[np.uint8], n_classes: int) -> tuple[Change, ...]:
    """``count_changes`` of two volumes ``[Z, Y, X]``, slab by slab."""
    total = (Change(),) * n_classes
    for part in cut_slabs(before):
        total = add_changes(total, count_changes(before[part], after[part], n_classes))
        let_go(before, after)
    return total


def describe_changes(table: ClassTable, changes: tuple[Change, ...], geometry: Geometry) -> tuple[ClassRecord, ...]:
    """The changes of every class in voxels and, where the file has millimetres, in mm3."""
    voxel = None if geometry.kind == "raster" else float(np.prod(geometry.spacing))

    def volume(count: int) -> float | None:
        return None if voxel is None else round(count * voxel, 3)

    return tuple(
        ClassRecord(
            id=number,
            name=name,
            voxels_before=change.before,
            voxels_after=change.after,
            voxels_added=change.added,
            voxels_removed=change.removed,
            mm3_before=volume(change.before),
            mm3_after=volume(change.after),
            mm3_added=volume(change.added),
            mm3_removed=volume(change.removed),
            changed_share=round(change.share, 6),
        )
        for number, name, change in zip(table.ids, table.names, changes, strict=True)
    )
