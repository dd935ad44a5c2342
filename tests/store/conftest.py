"""Small cases for the store: a volume of two pyramid levels, a picture, and one call that publishes either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adelecli.store.changes import map_changes
from adelecli.store.collection import Store, create_store
from adelecli.store.frame import Frame
from adelecli.store.layout import CHANGE_CLASSES
from adelecli.store.publication import publish_case

CLASSES = ({"id": 0, "name": "background", "colour": (0, 0, 0)}, {"id": 7, "name": "liver", "colour": (200, 30, 30)})
RUN = {"model_sha256": "a" * 64, "options": {"confidence": 0.8, "protect": ["liver"]}}
Publisher = Callable[..., np.ndarray]


@pytest.fixture
def frame() -> Frame:
    affine = ((-1.0, 0.0, 0.0, 90.0), (0.0, -1.0, 0.0, 126.0), (0.0, 0.0, 2.5, -72.0), (0.0, 0.0, 0.0, 1.0))
    return Frame(affine, (2.5, 1.0, 1.0), bytes(range(256)) + bytes(92))


@pytest.fixture
def picture_frame() -> Frame:
    affine = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    return Frame(affine, (1.0, 1.0, 1.0), None, "raster", ".png")


@pytest.fixture
def labels() -> np.ndarray:
    volume = np.zeros((20, 150, 270), np.uint8)
    volume[4:15, 30:101, 50:221] = 7
    volume[np.random.default_rng(0).random(volume.shape) > 0.99] = 7
    return volume


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create_store(tmp_path / "cleaned.zarr", run=RUN)


@pytest.fixture
def publish(frame: Frame) -> Publisher:
    """Publish ``labels`` and an eroded correction with its change map and confidence; return the correction."""

    def publish(
        store: Store, case: str, labels: np.ndarray, *, frame: Frame = frame, replace: bool = True
    ) -> np.ndarray:
        corrected = labels * (np.roll(labels, 3, axis=-1) == labels)
        with publish_case(store, case, replace=replace) as draft:
            draft.write_labels("original", labels, frame, CLASSES)
            draft.write_labels("corrected", corrected, frame, CLASSES)
            draft.write_labels("change", map_changes(labels, corrected), frame, CHANGE_CLASSES)
            draft.write_map("confidence", np.linspace(0, 1, labels.size, dtype=np.float32).reshape(labels.shape))
            draft.set_record({"status": "corrected", "voxels": np.int64(labels.astype(bool).sum())})
        return corrected

    return publish
