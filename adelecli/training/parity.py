"""Proof that the file computes what the trained network computes; without it no file is published.

A size that was baked into the graph, or a weight that went astray, raises no error anywhere: only running both sides at
several odd sizes shows it. What must hold: all but a few pixels agree within the tolerance, those few within a ceiling,
and labels differ only where the two best classes are that close. The few are onnxruntime's: its InstanceNormalization
sums a whole slice in float32, so single pixels beside steep edges drift the more the larger the slice (against float64,
a network trained on OpenKBP: 3e-4 at 256, 3e-3 at 512, 1e-2 at 768 pixels, 1e-5 to 2e-5 for 99 in 100 values, no label;
torch 1e-6). The reference is the trained network in float32 whatever the precision of the file; an int8 file moves
probabilities too far for a tolerance, so it is held to the share of labels that differ on real slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adelecli.errors import ModelError
from adelecli.runtime.proof import open_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from adelecli.runtime.contract import Precision
    from adelecli.training.network import MultiScale

TOLERANCES = {"fp32": 2e-4, "fp16": 1e-2}
"""Difference of a probability: float32 sources of Resize reach 1e-4 at 1024 pixels, ten bits of mantissa 5e-3."""
BEYOND = 1e-2
"""Largest share of an input's probabilities that may differ by more than the tolerance."""
CEILINGS = {"fp32": 5e-2, "fp16": 1e-1}
"""Largest difference of any probability: a size baked into the graph moves outlines, which shows by far more."""
LABEL_LIMIT = 1e-3
"""Largest share of pixels of the run's slices whose label an int8 file may change."""
NAMES = ("probabilities", "label", "confidence")
SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: (
        (1, 64, 64), (1, 63, 65), (2, 41, 57), (3, 97, 131), (1, 128, 96), (1, 160, 208),
        (2, 161, 203), (1, 9, 120), (1, 120, 9), (1, 1, 1), (4, 31, 33), (1, 255, 257),
    ),
    3: (
        (1, 16, 16, 16), (1, 15, 17, 19), (2, 9, 14, 11), (3, 7, 12, 8), (1, 24, 8, 16), (1, 8, 24, 20),
        (2, 5, 6, 7), (1, 3, 30, 9), (1, 30, 9, 3), (1, 1, 1, 1), (1, 1, 20, 20), (1, 25, 27, 26),
    ),
}  # fmt: skip
"""Batch and sizes, by the number of spatial dimensions."""


def prove_parity(
    blob: bytes, model: MultiScale, samples: NDArray[np.float32], precision: Precision = "fp32"
) -> dict[str, Any]:
    """Compare ``blob`` run by onnxruntime with ``model`` at every shape and on real slices ``samples [n, C, H, W]``.

    The record says how many inputs were compared and the largest difference. Raises ``ModelError`` when a shape differs, more than
    ``BEYOND`` of the probabilities differ by more than the tolerance of ``precision`` (fp32 or fp16), one by more than its ceiling,
    or a label where it must not.
    """
    limits = TOLERANCES[precision], CEILINGS[precision]
    worst, disagreements, compared = 0.0, 0, 0
    graphs = [open_graph(blob, optimised=optimised) for optimised in (True, False)]
    for image in _inputs(samples):
        expected = _compute(model, image)
        for run in graphs:
            difference, labels = _compare(expected, run(image), image.shape, limits)
            worst, disagreements = max(worst, difference), disagreements + labels
            compared += 1
    return {
        "inputs": compared,
        "real_slices": len(samples),
        "max_probability_difference": worst,
        "labels_that_differ_at_ties": disagreements,
        "tolerance": limits[0],
        "ceiling": limits[1],
    }


def prove_quantised(
    blob: bytes, model: MultiScale, samples: NDArray[np.float32], taus: Sequence[float]
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Compare the int8 ``blob`` with ``model``: the record, and ``taus`` (per class) re-calibrated to the new confidences.

    Raises ``ModelError`` when a shape differs or more than ``LABEL_LIMIT`` of the pixels of ``samples`` change their label.
    """
    run = open_graph(blob, optimised=True)
    for image in _inputs(samples):
        _check_shapes(_compute(model, image), run(image), image.shape)
    expected, got = (_join(compute, samples) for compute in (lambda image: _compute(model, image), run))
    share = float(np.mean(expected[1] != got[1]))
    if share > LABEL_LIMIT:
        fact = f"int8 changes {100 * share:.2g} % of the labels (at most {100 * LABEL_LIMIT:g} %)"
        raise ModelError(f"parity: {fact}", remedy="export with --precision fp32")
    record = {
        "inputs": len(SHAPES[samples.ndim - 2]) + 1,
        "real_slices": len(samples),
        "max_probability_difference": float(np.abs(expected[0] - got[0]).max()),
        "labels_that_differ": share,
        "limit": LABEL_LIMIT,
    }
    return record, match_taus(taus, (expected[1], expected[2]), (got[1], got[2]))


def match_taus(
    taus: Sequence[float],
    before: tuple[NDArray[np.uint8], NDArray[np.float32]],
    after: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> tuple[float, ...]:
    """Thresholds for the confidences ``after`` that the same share of each class's pixels passes as ``taus`` before.

    Each side is (label, confidence) of one shape. A class that either side lacks, or all or none of whose pixels pass, keeps
    its threshold.
    """
    matched = []
    for index, tau in enumerate(taus):
        old, new = before[1][before[0] == index], after[1][after[0] == index]
        share = float(np.mean(old > tau)) if old.size else 0.0
        keep = not new.size or share in {0.0, 1.0}
        value = tau if keep else float(np.quantile(new, 1 - share, method="inverted_cdf"))
        matched.append(round(min(max(value, 0.0), 1.0), 6))
    return tuple(matched)


def _join(run: Callable[[NDArray[np.float32]], list[NDArray[Any]]], samples: NDArray[np.float32]) -> list[NDArray[Any]]:
    """The three outputs for all samples, one by one so that memory does not grow with their number."""
    answers = [run(samples[i : i + 1].copy()) for i in range(len(samples))]
    return [np.concatenate(values) for values in zip(*answers, strict=True)]


def _compute(model: MultiScale, image: NDArray[np.float32]) -> list[NDArray[Any]]:
    with torch.inference_mode():
        return [value.numpy() for value in model(torch.from_numpy(image))]


def _inputs(samples: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Real slices as they are, and cut or repeated to each odd shape: noise would leave the network in its flat part."""
    yield samples.copy()
    channels = samples.shape[1]
    for index, (batch, *sizes) in enumerate(SHAPES[samples.ndim - 2]):
        one = samples[index % len(samples)]
        repeats = (1, *(-(-size // have) for size, have in zip(sizes, one.shape[1:], strict=True)))
        tile = np.tile(one, repeats)[(slice(None), *(slice(size) for size in sizes))]
        yield np.broadcast_to(tile, (batch, channels, *sizes)).copy()


def _check_shapes(expected: list[NDArray[Any]], got: list[NDArray[Any]], shape: tuple[int, ...]) -> None:
    for name, ours, theirs in zip(NAMES, expected, got, strict=True):
        if ours.shape != theirs.shape:
            raise ModelError(f"parity: {name} has shape {theirs.shape} instead of {ours.shape} for input {shape}")


def _compare(
    expected: list[NDArray[Any]], got: list[NDArray[Any]], shape: tuple[int, ...], limits: tuple[float, float]
) -> tuple[float, int]:
    _check_shapes(expected, got, shape)
    tolerance, ceiling = limits
    differences = np.abs(expected[0] - got[0])
    largest, beyond = float(differences.max()), float(np.mean(~(differences <= tolerance)))  # NaN counts as beyond
    if not largest <= ceiling:
        raise ModelError(f"parity: probabilities differ by {largest:.2g} (at most {ceiling:g}) for input {shape}")
    if beyond > BEYOND:
        fact = (
            f"{100 * beyond:.2g} % of the probabilities differ by more than {tolerance:g} (at most {100 * BEYOND:g} %)"
        )
        raise ModelError(f"parity: {fact} for input {shape}")
    differ = expected[1] != got[1]
    best = np.sort(expected[0], axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * np.maximum(tolerance, differences.max(axis=1))
    if (differ & clear).any():
        raise ModelError(f"parity: {int((differ & clear).sum())} labels differ for input {shape}")
    return largest, int(differ.sum())
