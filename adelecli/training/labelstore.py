"""``labels.zarr`` of a run folder: the corrected training labels, in the same store format that ``adele correct`` writes.

So ``adele verify``, ``convert`` and ``evaluate`` work on it without a word about where it came from.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from adelecli.intake.frames import make_frame
from adelecli.labels.entries import list_entries
from adelecli.store.changes import map_changes
from adelecli.store.collection import create_store
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.publication import publish_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.training.plan import RunPlan
    from adelecli.volumes.geometry import Geometry

    Publish = Callable[[str, Path, NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], Geometry], None]


@contextmanager
def publish_labels(path: Path, plan: RunPlan) -> Iterator[Publish]:
    """A new store at ``path``; the function it gives publishes ``(case, mask file, original, corrected, geometry)`` on the source grid."""
    store = create_store(path, run={"command": "train", "data": plan.fingerprint()})
    classes = list_entries(plan.survey.table)

    def publish(
        case: str,
        mask: Path,
        original: NDArray[np.unsignedinteger],
        corrected: NDArray[np.unsignedinteger],
        geometry: Geometry,
    ) -> None:
        frame = make_frame(geometry, mask)
        with publish_case(store, case) as draft:
            draft.write_labels("original", original, frame, classes)
            draft.write_labels("corrected", corrected.astype(original.dtype), frame, classes)
            draft.write_labels("change", map_changes(original, corrected), frame, CHANGE_CLASSES)
            changed = int(np.count_nonzero(original != corrected))
            draft.set_record({"status": "corrected" if changed else "unchanged", "voxels_changed": changed})

    yield publish
