"""By how much a class is drawn too large or too small: the signed distance from the network's outlines to the labels' (algorithm 8.7).

Why: annotators who all draw a rim too wide teach the network to do so too, and no disagreement shows it. Cases whose labels are right
give it away: there the network disagrees with the labels in one direction. What must hold: positive means that the labels lie outside
the prediction; swapping labels and prediction turns the sign; a structure that only one of the two shows, or that lies far from
the other's, is another error than a shifted outline and does not count.

A bias that is certain is undone by ``move_outlines``, on labels before a network learns from them and on what a network that
learnt from biased ones predicts. Only outlines towards the background move: nobody can draw two neighbours both too large.

Of two masks in a slice, each outline pixel of one is measured against the other's outline, both ways, and the mean is taken: for two
discs with one centre that is the difference of their radii, to less than half a pixel. Distances are pixels of the arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt

from adelecli.labels.classes import IGNORE, IndexArray
from adelecli.labels.excess import LEAST_TRUSTED

if TYPE_CHECKING:
    from collections.abc import Sequence

REACH = 8.0
"""An outline pixel further than this from the other outline is not that outline drawn elsewhere, and does not count."""

LEAST_BIAS = 0.5
"""Outlines that lie this many pixels off are still the same pixels."""
CERTAINTY = 3.0
"""So many standard errors of its own a bias must be; with three trusted cases their spread is badly known itself."""

_Mask = npt.NDArray[np.bool_]
_Array = npt.NDArray[np.float64]


def measure_offsets(labels: IndexArray, prediction: IndexArray, n_classes: int) -> tuple[_Array, npt.NDArray[np.int64]]:
    """Sum of the signed distances and number of outline pixels of each class 1..K-1 in slices ``[S, H, W]``, both ``[K - 1]``.

    Positive: the labels lie outside the prediction. Pixels that the labels ignore belong to no class in either.
    """
    total, points = np.zeros(n_classes - 1), np.zeros(n_classes - 1, np.int64)
    for ours, theirs in zip(labels, np.where(labels == IGNORE, IGNORE, prediction), strict=True):
        for c in range(1, n_classes):
            distances = _compare_outlines(ours == c, theirs == c)
            total[c - 1] += distances.sum()
            points[c - 1] += distances.size
    return total, points


def estimate_bias(
    total: _Array, points: npt.NDArray[np.int64], trusted: npt.NDArray[np.bool_]
) -> tuple[float | None, ...]:
    """How many pixels too large each class is drawn in the cases that are not ``trusted [cases]``; negative: too small.

    ``total``, ``points`` ``[cases, K - 1]``: from ``measure_offsets``, labels against a prediction that has not seen the case. What the
    network itself gets wrong shows in the trusted cases too and is taken away. ``None`` for a class that fewer than
    ``LEAST_TRUSTED`` trusted cases, or none of the others, tell anything of.
    """
    told = points > 0
    known = (np.count_nonzero(told[trusted], axis=0) >= LEAST_TRUSTED) & told[~trusted].any(axis=0)
    means = [total[part].sum(0) / np.maximum(points[part].sum(0), 1) for part in (~trusted, trusted)]
    return tuple(float(bias) if given else None for bias, given in zip(means[0] - means[1], known, strict=True))


def find_shifts(total: _Array, points: npt.NDArray[np.int64], trusted: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """By how many pixels the outlines of each class are to be moved outwards, from the arguments of ``estimate_bias``.

    The bias turned round where it is at least ``LEAST_BIAS`` and ``CERTAINTY`` standard errors (of the cases' own means); else 0.
    """
    return tuple(
        -bias if bias is not None and abs(bias) >= max(LEAST_BIAS, CERTAINTY * error) else 0.0
        for bias, error in zip(estimate_bias(total, points, trusted), _find_errors(total, points, trusted), strict=True)
    )


def _find_errors(total: _Array, points: npt.NDArray[np.int64], trusted: npt.NDArray[np.bool_]) -> list[float]:
    """The standard error of each class's bias: the spread of the cases' means on either side; infinite for a side of one case."""
    errors = []
    for offsets, counts in zip(total.T, points.T, strict=True):
        sides = [offsets[side & (counts > 0)] / counts[side & (counts > 0)] for side in (trusted, ~trusted)]
        errors.append(
            float(np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides))) if min(map(len, sides)) > 1 else np.inf
        )
    return errors


def move_outlines(labels: IndexArray, shifts: Sequence[float]) -> npt.NDArray[np.uint8]:
    """``labels [S, H, W]`` with the outlines of each class 1..K-1 moved outwards by its ``shifts`` pixels, negative: inwards.

    A pixel counts by its middle. A class gains background only, the nearest class where two reach a pixel, and loses to the
    background only; where nothing of it would be left in a slice it stays as it is. Ignored pixels stay.
    """
    moved = np.array(labels, np.uint8)
    for before, after in zip(labels, moved, strict=True):
        _shrink(before, after, shifts)
        _grow(before, after, shifts)
    return moved


def _shrink(before: IndexArray, after: npt.NDArray[np.uint8], shifts: Sequence[float]) -> None:
    held = [c for c, shift in enumerate(shifts, 1) if shift < 0 and (before == c).any()]
    if not held or not (before == 0).any():
        return
    depth = distance_transform_edt(before != 0) - 0.5
    for c in held:
        lost = (before == c) & (depth < -shifts[c - 1])
        if (lost != (before == c)).any():
            after[lost] = 0


def _grow(before: IndexArray, after: npt.NDArray[np.uint8], shifts: Sequence[float]) -> None:
    nearest = np.full(before.shape, np.inf)
    for c, shift in enumerate(shifts, 1):
        if shift > 0 and (before == c).any():
            distance = distance_transform_edt(before != c) - 0.5
            gained = (before == 0) & (distance < shift) & (distance < nearest)
            after[gained] = c
            nearest[gained] = distance[gained]


def _compare_outlines(ours: _Mask, theirs: _Mask) -> _Array:
    """The signed distances between the outlines of two masks ``[H, W]``; empty where one of them is."""
    if not (ours.any() and theirs.any()):
        return np.zeros(0)
    box = _find_box(ours | theirs)
    ours, theirs = (np.pad(mask[box], 1) for mask in (ours, theirs))
    forward, backward = _measure_depth(theirs)[_find_outline(ours)], _measure_depth(ours)[_find_outline(theirs)]
    distances: _Array = np.concatenate([forward, -backward])
    near: _Array = distances[np.abs(distances) <= REACH]
    return near


def _measure_depth(mask: _Mask) -> _Array:
    """Signed distance of each pixel from the outline pixels just inside ``mask``: 0 on them, positive outside, negative inside."""
    outside: _Array = distance_transform_edt(~mask)
    inside: _Array = distance_transform_edt(mask)
    depth: _Array = np.where(mask, 1 - inside, outside)
    return depth


def _find_outline(mask: _Mask) -> _Mask:
    return np.asarray(mask & ~binary_erosion(mask))


def _find_box(mask: _Mask) -> tuple[slice, ...]:
    held = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in held)
