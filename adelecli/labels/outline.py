"""What a network says of a label's whole outline: the outline may be moved, but it is not redrawn pixel by pixel.

Why: a network is sure of where a structure lies on average and unsure of every single pixel of its border, while labels drawn in a
hurry are wrong the other way round: they have the structure's shape, but lie too far out or too far in, all along. A confident
disagreement at one pixel is as often the network's error as the label's; that the network disagrees with a whole ring around
the outline is hardly ever an accident. So each class's probability is averaged over the pixels that lie equally far from the outline
that was drawn, and the average, which has to fall from the inside to the outside, is multiplied with the pixel's own probability
(a product of experts, Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 2002).

What must hold: labels are read and never changed; a slice depends on nothing but itself; a class that was not drawn in the
slice, and a slice without any, keep their probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

from adelecli.labels.classes import IGNORE
from adelecli.labels.distance import find_box, find_rings

if TYPE_CHECKING:
    import numpy.typing as npt

    from adelecli.labels.classes import LabelArray
    from adelecli.labels.distance import Rings

    Flags = npt.NDArray[np.bool_]
    Probabilities = npt.NDArray[np.float32]

FAINT = 0.05
"""Where no foreground is drawn or as probable as this, nothing is averaged: the background is undisputed there."""
FARTHEST = 30
"""Rings that lie further than this many pixels from the outline are one."""
FLOOR = 1e-3
"""Probabilities below this count as this, so that one that is almost 0 cannot outvote all others."""


def combine_outline(probabilities: Probabilities, labels: LabelArray, weight: float) -> Probabilities:
    """The probabilities of a slice ``[K, H, W]``, each class's averaged along the outline drawn in ``labels [H, W]`` (indices).

    ``P**(1 - weight) * Q**weight``, normalised over the classes; ``Q``: the averages, ``P`` itself where there are none. ``weight`` 0
    returns the array itself, as does a slice in which nothing is drawn. Ignored pixels count for no average; NaN stays NaN.
    """
    drawn = [int(c) for c in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[: len(probabilities)]) if c]
    if not drawn or not weight:
        return probabilities
    box = find_box(((labels > 0) & (labels != IGNORE)) | (probabilities[0] < 1 - FAINT), 1)
    assert box is not None
    own, held = probabilities[:, *box], labels[box]
    mixed = np.maximum(own, FLOOR)
    valid = held != IGNORE
    _mix_into(mixed[0], own[0], (held == 0) | ~valid, valid, weight)
    for c in drawn:
        inside = held == c
        part = find_box(inside | (own[c] > FAINT), 1)  # beyond it the class is neither drawn nor seen
        assert part is not None
        _mix_into(mixed[c][part], own[c][part], inside[part], valid[part], weight)
    combined = probabilities.copy()
    np.divide(mixed, mixed.sum(0), out=combined[:, *box])
    return combined


def _mix_into(mixed: Probabilities, own: Probabilities, inside: Flags, valid: Flags, weight: float) -> None:
    """Make ``mixed``, which holds ``own``, the product of its own and the averages along the border of ``inside``; all ``[H, W]``.

    The few averages are raised to their power, not the pixels that take them.
    """
    rings = find_rings(inside, FARTHEST)
    if rings is None:
        return
    averages = average_rings(own, rings, valid)
    if averages is None:
        return
    factors = np.maximum(averages, FLOOR) ** np.float32(weight)
    mixed **= np.float32(1 - weight)
    near = mixed[rings.near] * factors.take(rings.numbers)
    mixed *= factors[rings.beyond]
    mixed[rings.near] = near


def average_rings(probability: Probabilities, rings: Rings, valid: Flags) -> npt.NDArray[np.float32] | None:
    """The mean of ``probability [H, W]`` over each of ``rings``, of the innermost first; ``None`` where no mean is finite.

    Never rising from the inside to the outside: the nearest such averages in least squares, a ring weighted by its ``valid`` pixels.
    A ring without any has an average between those of its neighbours.
    """
    whole = bool(valid.all())
    held, near = valid[rings.near], probability[rings.near]
    counted, weights = (rings.numbers.ravel(), near.ravel()) if whole else (rings.numbers[held], near[held])
    counts = np.bincount(counted, minlength=rings.count)
    sums = np.bincount(counted, weights=weights, minlength=rings.count)
    further = np.count_nonzero(valid) - len(counted)
    if further:
        everywhere = probability.sum(dtype=np.float64, where=True if whole else valid)
        counts[rings.beyond] += further
        sums[rings.beyond] += everywhere - weights.sum(dtype=np.float64)
    shown = np.flatnonzero(counts)
    if not len(shown) or not np.isfinite(sums).all():
        return None
    falling = isotonic_regression(sums[shown] / counts[shown], weights=counts[shown], increasing=False).x
    averages: npt.NDArray[np.float32] = np.interp(np.arange(rings.count), shown, falling).astype(np.float32)
    return averages


def combine_slices(probabilities: Probabilities, labels: LabelArray, weight: float) -> Probabilities:
    """``combine_outline`` of each slice of ``probabilities [S, K, H, W]`` and ``labels [S, H, W]``."""
    return np.stack([combine_outline(own, drawn, weight) for own, drawn in zip(probabilities, labels, strict=True)])


def choose_best(probabilities: Probabilities) -> tuple[npt.NDArray[np.uint8], Probabilities]:
    """The best class and its probability, both ``[..., H, W]``, of ``probabilities [..., K, H, W]``; of equal ones the first.

    Plane by plane: ``argmax`` over an axis that is not the last took ten times as long. NaN makes the probability NaN.
    """
    planes = np.moveaxis(probabilities, -3, 0)
    label, best = np.zeros(planes.shape[1:], np.uint8), planes[0].copy()
    for k, plane in enumerate(planes[1:], 1):
        np.copyto(label, np.uint8(k), where=plane > best)
        np.maximum(best, plane, out=best)
    return label, best
