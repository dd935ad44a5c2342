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
from adelecli.labels.distance import number_rings

if TYPE_CHECKING:
    import numpy.typing as npt

    from adelecli.labels.classes import LabelArray

    Probabilities = npt.NDArray[np.float32]
    Box = tuple[slice, slice]

FAINT = 0.05
"""Where no foreground is drawn or as probable as this, nothing is averaged: the background is undisputed there."""
FARTHEST = 30
"""Rings that lie further than this many pixels from the outline are one."""
FLOOR = 1e-3
"""Probabilities below this count as this, so that one that is almost 0 cannot outvote all others."""


def combine_outline(probabilities: Probabilities, labels: LabelArray, weight: float) -> Probabilities:
    """The probabilities of a slice ``[K, H, W]``, each class's averaged along the outline drawn in ``labels [H, W]`` (indices).

    ``P**(1 - weight) * Q**weight``, normalised over the classes; ``Q``: the averages. ``weight`` 0 returns the array itself, as does
    a slice in which nothing is drawn. Ignored pixels count for no average; NaN stays NaN.
    """
    drawn = [int(c) for c in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[: len(probabilities)]) if c]
    box = _find_box(((labels > 0) & (labels != IGNORE)) | (probabilities[0] < 1 - FAINT)) if weight and drawn else None
    if box is None:
        return probabilities
    own, held = probabilities[:, *box], labels[box]
    ringed = np.maximum(own, FLOOR)
    mixed = ringed ** np.float32(1 - weight)
    valid = held != IGNORE
    _average_into(ringed[0], own[0], (held == 0) | ~valid, valid)
    for c in drawn:
        inside = held == c
        part = _find_box(inside | (own[c] > FAINT))  # beyond it the class is neither drawn nor seen
        assert part is not None
        _average_into(ringed[c][part], own[c][part], inside[part], valid[part])
    mixed *= ringed ** np.float32(weight)
    combined = probabilities.copy()
    combined[:, *box] = mixed / mixed.sum(0)
    return combined


def _average_into(
    target: Probabilities, probability: Probabilities, inside: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_]
) -> None:
    """Write the averages of ``probability`` along the border of ``inside``, where it has one, into ``target``; all ``[H, W]``."""
    if inside.any() and not inside.all():
        np.maximum(average_rings(probability, inside, valid), FLOOR, out=target)


def average_rings(
    probability: Probabilities, inside: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_]
) -> Probabilities:
    """The mean of ``probability [H, W]`` over each ring of pixels equally far, to the pixel, from the border of ``inside [H, W]``.

    Never rising from the inside to the outside: the nearest such averages in least squares, a ring weighted by its ``valid`` pixels.
    """
    ring = number_rings(inside, FARTHEST) + np.int16(FARTHEST)
    counted, weights = (ring.ravel(), probability.ravel()) if valid.all() else (ring[valid], probability[valid])
    counts = np.bincount(counted, minlength=2 * FARTHEST + 1)
    sums = np.bincount(counted, weights=weights, minlength=2 * FARTHEST + 1)
    shown = np.flatnonzero(counts)
    if not len(shown) or not np.isfinite(sums).all():
        return probability
    falling = isotonic_regression(sums[shown] / counts[shown], weights=counts[shown], increasing=False).x
    places = np.arange(2 * FARTHEST + 1)
    averages: Probabilities = np.interp(places, shown, falling).astype(np.float32)
    return averages.take(ring)


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


def _find_box(found: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all that is true in ``found [H, W]``, and one pixel around it; ``None`` where nothing is."""
    spans = []
    for axis in (1, 0):
        held = np.flatnonzero(found.any(axis))
        if not len(held):
            return None
        spans.append(slice(max(int(held[0]) - 1, 0), int(held[-1]) + 2))
    return spans[0], spans[1]
