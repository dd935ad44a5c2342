"""Identical inputs and options give identical files of arrays, whatever the number of workers, slices in a batch, slices in a slab."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_cases import make_noisy, make_truth

from adelecli import scratch
from adelecli.pipeline import session
from adelecli.pipeline.correction import correct
from adelecli.runtime import segmentation


def read_arrays(store: Path) -> dict[str, bytes]:
    """Every encoded chunk and the metadata of every array, by its path in the store; of a case's own document the seconds differ."""
    below_cases = (file for file in store.glob("*/*/**/*") if file.is_file())
    return {file.relative_to(store).as_posix(): file.read_bytes() for file in below_cases}


@pytest.fixture
def undisturbed(data) -> dict[str, bytes]:
    """The arrays of one process with the defaults."""
    for number in range(3):
        image = np.roll(make_truth(), number, axis=1).astype(np.float32)
        data.add(f"case{number}", mask=np.roll(make_noisy(), number, axis=1), image=image)
    correct(data.masks, out=data.root / "one.zarr", model=data.model, confidence_maps=True)
    arrays = read_arrays(data.root / "one.zarr")
    assert sum("/c/" in name for name in arrays) >= 3 * 4  # original, corrected, change, confidence of each case
    return arrays


@pytest.mark.parametrize(("batch", "slab", "keep"), [(1, 1, 0), (50, 1, 1 << 20), (1 << 20, 1 << 26, 0)])
def test_batch_and_slab_change_no_byte(data, undisturbed, monkeypatch, batch: int, slab: int, keep: int) -> None:
    """One slice at a time or all at once, through memory or through files."""
    monkeypatch.setattr(segmentation, "BATCH_PIXELS", batch)
    monkeypatch.setattr(scratch, "SLAB_BYTES", slab)
    monkeypatch.setattr(session, "KEEP_BYTES", keep)
    correct(data.masks, out=data.out, model=data.model, confidence_maps=True)
    assert read_arrays(data.out) == undisturbed


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_no_byte(data, undisturbed, workers: int) -> None:
    """Processes of one thread each write what one process with all cores writes."""
    correct(data.masks, out=data.out, model=data.model, workers=workers, confidence_maps=True)
    assert read_arrays(data.out) == undisturbed
