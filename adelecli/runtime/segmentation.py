"""A volume streamed through the model, slice by slice, so that a volume's probabilities are never held at once.

What must hold: results come in slice order on the volume's own in-plane grid, and a slice's result does not depend on
the slices beside it (the intensity constants are the volume's; slices share a run only to save time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.errors import CaseError
from adelecli.runtime.preparation import (
    Normaliser,
    fit_normaliser,
    in_plane_spacing,
    move_axis,
    pad_image,
    plan_size,
    resize_image,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from adelecli.runtime.models import Model

    Slice = tuple[int, NDArray[np.uint8], NDArray[np.float32]]

BATCH_PIXELS = 1 << 14
"""Pixels that share one run. A 2D U-Net on 2 cores took 1.6 times as long for 48 x 48 slices one by one as for eight at
once; from 96 x 96 on a batch gained nothing and cost memory."""


def segment_volume(model: Model, image: NDArray[np.generic], spacing: tuple[float, float, float]) -> Iterator[Slice]:
    """Segment ``image`` [C, Z, Y, X] (canonical grid, native dtype) with voxels of ``spacing`` (z, y, x) mm.

    Yields (index, label, confidence) for each slice along the contract's axis, in order: ``label`` uint8 [H, W] holds
    class indices (0..K-1, not the label ids of files), ``confidence`` float32 [H, W] is their probability.
    `preparation.move_axis` with that axis shows where a slice belongs. Where the contract resamples, the probabilities
    are brought back to the volume's grid before the best class is taken. Raises CaseError at once when the image does
    not suit the model, and on the way when memory runs out or a result is not finite.
    """
    contract = model.contract
    normalise = fit_normaliser(image, contract.channels)
    slices = move_axis(image, contract.grid.axis)
    height, width = slices.shape[-2:]
    size = plan_size(height, width, in_plane_spacing(spacing, contract.grid.axis), contract.grid)
    return _segment_slices(model, slices, normalise, size)


def _segment_slices(
    model: Model, slices: NDArray[np.generic], normalise: Normaliser, size: tuple[int, int]
) -> Iterator[Slice]:
    """Prepare, run and bring back ``slices`` [C, S, H, W], as many at once as `BATCH_PIXELS` allows."""
    step = max(1, BATCH_PIXELS // (size[0] * size[1]))
    for start in range(0, slices.shape[1], step):
        prepared = resize_image(normalise(slices[:, start : start + step]), size).swapaxes(0, 1)
        labels, confidences = _segment_batch(model, prepared, slices.shape[-2:])
        for offset, (label, confidence) in enumerate(zip(labels, confidences, strict=True)):
            if not np.isfinite(confidence).all():
                fact = f"the prediction of slice {start + offset} is not finite"
                raise CaseError(fact, remedy="look for values in the image that are not numbers")
            yield start + offset, label, confidence


def _segment_batch(
    model: Model, prepared: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Labels and confidences [N, *shape] of ``prepared`` [N, C, h, w], seen on the canvas of the training."""
    height, width = prepared.shape[-2:]
    padded = pad_image(prepared, model.contract.grid.canvas)
    if (height, width) == shape:
        label, confidence = model.run(padded)
        return label[:, :height, :width], confidence[:, :height, :width]
    probabilities = resize_image(model.run_probabilities(padded)[..., :height, :width], (shape[0], shape[1]))
    return probabilities.argmax(axis=1).astype(np.uint8), probabilities.max(axis=1)
