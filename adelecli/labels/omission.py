"""Classes that a case lacks altogether although networks that learnt from the other cases see them there.

Why: an organ that somebody forgot to draw is no outline in the wrong place. It disagrees with a network as much as a label can, says
nothing of how well the rest of the case is drawn, and no outline can be moved to mend it. So it is judged by itself: by whether as much of
the class is seen as in cases that have it. What must hold: only a class of which a case holds not one pixel is ever taken for omitted,
and only background is given to it; a case that truly lacks it, of which a network sees a faint piece at most, stays as it is; slices
add up, so that a volume can be judged one by one.

Two questions, two measures. *While the noise is measured*, by a network that has not seen the case: a class that a third of the cases
lack is seen with two thirds of its probability at best, in every case alike. So what counts is the class's summed probability, its *mass*,
next to that of the cases that have it. *When labels are corrected*: a model that was not taught the omissions is as sure as of anything
else, and what it would add must be as large as what is drawn elsewhere. Both are compared per slice, by the mean over the slices in
which each counts as much as it holds (sum of squares / sum): stray pixels in many slices weigh nothing, and an organ's poles little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects, label, sum_labels

from adelecli.labels.classes import IGNORE, IndexArray

SHARE = 0.5
"""Of the median of the cases that have the class, a case that lacks it must reach this much: organs differ in size by less than half."""
LEAST_CASES = 10
"""Of a class that fewer cases than this show, nobody knows how large it is."""
MARGIN = 2
"""Pixels and slices by which the box of an omission is wider than what is seen: its outline is not known either."""
LEAST_INSIDE = 0.4
"""Networks of whose mass less than this lies inside the drawn class, in the cases that have it, do not know it."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Restoration:
    """When a class that a case lacks is restored: from ``least`` pixels per slice on, per class 1..K-1; NaN: never."""

    least: tuple[float, ...]

    @property
    def classes(self) -> frozenset[int]:
        """The indices (from 1) of the classes that may be restored."""
        return frozenset(index for index, size in enumerate(self.least, 1) if not math.isnan(size))

    def choose(self, sizes: _Floats, scale: float = 1.0) -> frozenset[int]:
        """Which classes are large enough, from ``sum_sizes`` ``[2, K - 1]`` of what a case would get.

        ``scale``: pixels of the counted arrays per pixel of the network's grid, along a side.
        """
        return frozenset((np.flatnonzero(weigh(sizes) >= np.array(self.least) * scale**2) + 1).tolist())


@dataclass(frozen=True)
class Sight:
    """What is drawn and what is seen of each class 1..K-1 in each case, all with the cases first.

    ``drawn``: ``sum_sizes`` of the labels, ``seen``: ``sum_masses``, both ``[cases, 2, K - 1]``; ``inside``: the part of the mass that lies
    in the drawn class ``[cases, K - 1]``; all of the slices that were looked at. ``held``: whether the case has the class in any slice
    ``[cases, K - 1]``.
    """

    drawn: _Floats
    seen: _Floats
    inside: _Floats
    held: npt.NDArray[np.bool_]


def sum_sizes(indices: IndexArray, n_classes: int) -> _Floats:
    """Sum and sum of squares over slices of each class's pixels ``[2, K - 1]``; ``indices`` are ``[S, H, W]`` or ``[H, W]``."""
    slices = indices.reshape(-1, *indices.shape[-2:])
    sizes = [np.bincount(one.ravel(), minlength=256)[1:n_classes] for one in slices]
    return _sum_powers(np.array(sizes, np.float64).reshape(-1, n_classes - 1))


def sum_masses(probabilities: npt.NDArray[np.floating[Any]], labels: IndexArray) -> tuple[_Floats, _Floats]:
    """The same ``[2, K - 1]`` of each class's summed probability, and what of it lies in the class as drawn ``[K - 1]``.

    ``probabilities`` are ``[S, K, H, W]``, ``labels`` ``[S, H, W]``; ignored pixels are left out.
    """
    foreground = probabilities[:, 1:].astype(np.float64) * (labels != IGNORE)[:, None]
    inside = [float(foreground[:, c - 1][labels == c].sum()) for c in range(1, probabilities.shape[1])]
    return _sum_powers(foreground.sum((2, 3))), np.array(inside)


def _sum_powers(values: _Floats) -> _Floats:
    return np.stack([values.sum(0), (values**2).sum(0)])


def weigh(sums: _Floats) -> _Floats:
    """The mean per slice, each slice weighted by what it holds, ``[..., K - 1]`` of sums ``[..., 2, K - 1]``; 0 of nothing."""
    total, squares = sums[..., 0, :], sums[..., 1, :]
    return np.divide(squares, total, out=np.zeros_like(total), where=total > 0)


def find_omissions(sight: Sight) -> tuple[npt.NDArray[np.bool_], Restoration]:
    """Which class looks omitted in which case ``[cases, K - 1]``, and how large a class must be to be restored.

    A class is never restored where fewer than ``LEAST_CASES`` cases show it, where the networks do not know it, or where no case looks
    as if it were omitted: labels that lack nothing give no licence to add anything to others.
    """
    classes = sight.held.shape[1]
    omitted, least = np.zeros(sight.held.shape, np.bool_), np.full(classes, np.nan)
    sizes, masses = weigh(sight.drawn), weigh(sight.seen)
    for c in range(classes):
        shown = sizes[:, c] > 0
        mass = float(sight.seen[shown, 0, c].sum())
        if np.count_nonzero(shown) < LEAST_CASES or sight.inside[shown, c].sum() < LEAST_INSIDE * mass or mass == 0:
            continue
        omitted[:, c] = ~sight.held[:, c] & (masses[:, c] >= SHARE * np.median(masses[shown, c]))
        if omitted[:, c].any():
            least[c] = SHARE * np.median(sizes[shown, c])
    return omitted, Restoration(tuple(least.tolist()))


def find_box(seen: npt.NDArray[np.floating[Any]]) -> tuple[int, ...]:
    """Where a class of probability ``seen`` ``[S, H, W]`` lies: first and last + 1 of slices, rows and columns, ``MARGIN`` wider.

    The connected piece of most mass among the pixels above half of the highest probability: a class that many cases lack is nowhere
    seen with more than one half, and stray pixels far away must not widen the box.
    """
    pieces, count = label(seen > 0.5 * seen.max())
    largest = int(np.argmax(sum_labels(seen, pieces, np.arange(1, count + 1))))
    sides = zip(find_objects(pieces)[largest], seen.shape, strict=True)
    return tuple(
        bound for side, size in sides for bound in (max(side.start - MARGIN, 0), min(side.stop + MARGIN, size))
    )


def keep_present(counts: npt.NDArray[np.int64], present: frozenset[int]) -> npt.NDArray[np.int64]:
    """``counts [..., K - 1]`` with 0 for the classes that are not ``present``."""
    held = np.isin(np.arange(1, counts.shape[-1] + 1), sorted(present))
    return np.asarray(counts * held, np.int64)


def find_restored(
    labels: IndexArray,
    prediction: IndexArray,
    confidence: npt.NDArray[np.floating[Any]],
    tau: tuple[float, ...],
    classes: frozenset[int],
) -> npt.NDArray[np.uint8]:
    """What restoring ``classes`` would add to ``labels``, same shape: the class where background becomes it, elsewhere 0.

    ``prediction``, ``confidence``: the network's own best class and its probability; ``tau`` (length K): what that must exceed.
    """
    table, least = np.zeros(256, np.bool_), np.full(256, np.inf, confidence.dtype)
    table[list(classes)] = True
    least[: len(tau)] = tau
    added = (labels == 0) & table[prediction] & (confidence > least[prediction])
    return np.where(added, prediction, 0).astype(np.uint8)
