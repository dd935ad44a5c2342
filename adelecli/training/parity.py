"""Proof that the file computes what the trained network computes; without it no file is published.

A size that was baked into the graph, or a weight that went astray, raises no error anywhere: only running both sides at several
odd sizes shows it. Labels may differ only where the two best classes are closer than twice the tolerance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adelecli.errors import ModelError
from adelecli.runtime.proof import open_graph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from adelecli.training.network import MultiScale

TOLERANCE = 2e-4
SHAPES = (
    (1, 64, 64),
    (1, 63, 65),
    (2, 41, 57),
    (3, 97, 131),
    (1, 128, 96),
    (1, 160, 208),
    (2, 161, 203),
    (1, 9, 120),
    (1, 120, 9),
    (1, 1, 1),
    (4, 31, 33),
    (1, 255, 257),
)


def prove_parity(blob: bytes, model: MultiScale, samples: NDArray[np.float32]) -> dict[str, Any]:
    """Compare ``blob`` run by onnxruntime with ``model`` at every shape and on real slices ``samples [n, C, H, W]``.

    The record says how many inputs were compared and the largest difference. Raises ``ModelError`` when a shape differs, a
    probability differs by more than ``TOLERANCE``, or a label differs where it must not.
    """
    worst, disagreements, compared = 0.0, 0, 0
    graphs = [open_graph(blob, optimised=optimised) for optimised in (True, False)]
    for image in _inputs(samples):
        with torch.inference_mode():
            expected = [value.numpy() for value in model(torch.from_numpy(image))]
        for run in graphs:
            difference, labels = _compare(expected, run(image), image.shape)
            worst, disagreements = max(worst, difference), disagreements + labels
            compared += 1
    return {
        "inputs": compared,
        "real_slices": len(samples),
        "max_probability_difference": worst,
        "labels_that_differ_at_ties": disagreements,
        "tolerance": TOLERANCE,
    }


def _inputs(samples: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Real slices as they are, and cut or repeated to each odd shape: noise would leave the network in its flat part."""
    yield samples.copy()
    channels = samples.shape[1]
    for index, (batch, height, width) in enumerate(SHAPES):
        one = samples[index % len(samples)]
        repeats = (1, -(-height // one.shape[1]), -(-width // one.shape[2]))
        tile = np.tile(one, repeats)[:, :height, :width]
        yield np.broadcast_to(tile, (batch, channels, height, width)).copy()


def _compare(expected: list[NDArray[Any]], got: list[NDArray[Any]], shape: tuple[int, ...]) -> tuple[float, int]:
    names = ("probabilities", "label", "confidence")
    for name, ours, theirs in zip(names, expected, got, strict=True):
        if ours.shape != theirs.shape:
            raise ModelError(f"parity: {name} has shape {theirs.shape} instead of {ours.shape} for input {shape}")
    difference = float(np.abs(expected[0] - got[0]).max())
    if not difference <= TOLERANCE:
        raise ModelError(f"parity: probabilities differ by {difference:.2g} (at most {TOLERANCE:g}) for input {shape}")
    differ = expected[1] != got[1]
    best = np.sort(expected[0], axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * TOLERANCE
    if (differ & clear).any():
        raise ModelError(f"parity: {int((differ & clear).sum())} labels differ for input {shape}")
    return difference, int(differ.sum())
