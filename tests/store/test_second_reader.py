"""What is published is read by a library that shares no code with ours or with zarr-python (ngff-zarr on the zarrs crate)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adelecli.store.collection import Store


@pytest.mark.filterwarnings("ignore")  # of the other library, about its own dependencies
def test_ngff_zarr_validates_and_reads_every_label_image(store: Store, publish: Any) -> None:
    """Valid by its schemas; the voxels of every level, the scale and the axes are those that were published."""
    ngff_zarr = pytest.importorskip("ngff_zarr")
    labels = np.zeros((3, 150, 260), np.uint8)
    labels[1:, 20:90, 30:80] = 7
    publish(store, "case", labels)
    for name in ("original", "corrected", "change"):
        read = ngff_zarr.from_ngff_zarr(str(store.path / "case" / "labels" / name), validate=True)
        finest = read.images[0]
        ours = store.read("case", name)
        assert list(finest.dims) == ["z", "y", "x"]
        assert finest.scale == {"z": 2.5, "y": 1.0, "x": 1.0}
        np.testing.assert_array_equal(np.asarray(finest.data), ours)
        np.testing.assert_array_equal(np.asarray(read.images[1].data), ours[:, ::2, ::2])
        assert read.images[1].scale == {"z": 2.5, "y": 2.0, "x": 2.0}
