"""Small stores with known changes, for what shows them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from adelecli.store.changes import map_changes
from adelecli.store.collection import Store, create_store
from adelecli.store.frame import Frame
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.publication import publish_case

CLASSES = ({"id": 0, "name": "background", "colour": (0, 0, 0)}, {"id": 7, "name": "liver", "colour": (200, 30, 30)})
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
SHAPE = (8, 12, 10)
CHANGED = {"a": 1, "b": 3, "c": 2}
"""How many columns (of 4) of the liver each case loses: 6 x 4 voxels each, so that b is the worst."""


def make_store(folder: Path, changed: dict[str, int] = CHANGED, *, images: bool = True) -> Store:
    """``folder/cleaned.zarr``, and ``folder/images`` beside it; the liver is ``[1:5, 3:9, 2:6]`` before."""
    store = create_store(folder / "cleaned.zarr", run={"command": "correct", "options": {"protect": []}})
    rows = tuple(tuple(float(value) for value in row) for row in AFFINE)
    frame = Frame(rows, (2.0, 1.0, 1.0))  # type: ignore[arg-type]
    for number, (case, columns) in enumerate(changed.items()):
        before = np.zeros(SHAPE, np.uint8)
        before[1:5, 3:9, 2:6] = 7
        after = before.copy()
        after[1:5, 3:9, 2 : 2 + columns] = 0
        lost = columns * 24
        with publish_case(store, case) as draft:
            draft.write_labels("original", before, frame, CLASSES)
            draft.write_labels("corrected", after, frame, CLASSES)
            draft.write_labels("change", map_changes(before, after), frame, CHANGE_CLASSES)
            draft.set_record(describe_case(case, 96, 96 - lost, lost))
        if images:
            (folder / "images").mkdir(exist_ok=True)
            voxels = np.random.default_rng(number).normal(100, 9, SHAPE[::-1]).astype(np.float32)
            nib.Nifti1Image(voxels, AFFINE).to_filename(folder / "images" / f"{case}.nii.gz")
    return store


def describe_case(case: str, before: int, after: int, lost: int) -> dict[str, object]:
    """A record as ``correct`` publishes it; voxels of 2 mm3."""

    def entry(number: int, name: str, was: int, now: int, added: int, removed: int) -> dict[str, object]:
        counts = {"before": was, "after": now, "added": added, "removed": removed}
        voxels = {f"voxels_{key}": count for key, count in counts.items()}
        volumes = {f"mm3_{key}": 2.0 * count for key, count in counts.items()}
        return {"id": number, "name": name, **voxels, **volumes, "changed_share": lost / max(was, 1)}

    rest = int(np.prod(SHAPE)) - before
    return {
        "id": case,
        "status": "corrected" if lost else "unchanged",
        "classes": [entry(0, "background", rest, rest + lost, lost, 0), entry(7, "liver", before, after, 0, lost)],
        "changed_share": lost / before,
        "mean_confidence": 0.75,
    }
