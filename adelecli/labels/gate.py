"""Which cases are corrected: those whose labels disagree with a network by more than honest ones would.

Why apart from how that is found out (``labels.excess``): the gate travels in every model, and a program that corrects with it counts
pixels and knows no training. What must hold: a case is judged by the same formula when the noise is estimated and when labels are
corrected, on whatever grid; all is a function of counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, IndexArray

VARIANCE = 0.75
"""How much of the squared disagreement of two networks one network's own error is."""
JITTER = 0.34
"""How far apart, in pixels of the network's grid, two honest outlines of one structure lie."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """Which cases are corrected: those whose excess reaches ``threshold``; judged by the classes whose ``network`` is known.

    ``network``: N per class 1..K-1; NaN: the class is clean or unknown, and its disagreement does not count. ``factor``: by
    what D0 of each class is multiplied; empty: by 1.
    """

    network: tuple[float, ...]
    threshold: float
    factor: tuple[float, ...] = ()

    def count(self, labels: IndexArray, prediction: IndexArray) -> npt.NDArray[np.int64]:
        """What is to be known of slices ``[S, H, W]`` or ``[H, W]`` of a case: ``count_overlap`` ``[4, K - 1]``; slices add up."""
        filled = ((labels > 0) & (labels != IGNORE)).any(axis=(-1, -2))  # as the cases of the estimate were
        return np.array(count_overlap(labels[filled], prediction[filled], len(self.network) + 1))

    def excess(self, counts: npt.NDArray[np.int64], scale: float = 1.0) -> float:
        """The excess of a case from its ``count``; NaN where no class can judge.

        ``scale``: pixels of the counted arrays per pixel of the network's grid, along a side.
        """
        agreed, seen, area, edges = counts
        expected = expect_disagreement(np.array(self.network), area, edges, scale) * np.array(self.factor or 1.0)
        return average_known(divide(divide(seen - agreed, seen), expected))

    def admits(self, counts: npt.NDArray[np.int64], scale: float = 1.0) -> bool:
        """Whether a case is to be corrected; see ``excess``."""
        return bool(self.excess(counts, scale) >= self.threshold)


def count_overlap(
    labels: IndexArray, prediction: IndexArray, n_classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``agreed, seen, area, edges`` of each class 1..K-1, as in ``excess.Counts``; pixels that the labels ignore are left out."""
    valid = labels != IGNORE
    agreed, seen, area, edges = (np.zeros(n_classes - 1, np.int64) for _ in range(4))
    for c in range(1, n_classes):
        ours, theirs = labels == c, (prediction == c) & valid
        agreed[c - 1], seen[c - 1] = np.count_nonzero(ours & theirs), np.count_nonzero(ours | theirs)
        for one in (ours, theirs):
            area[c - 1] += np.count_nonzero(one)
            edges[c - 1] += sum(np.count_nonzero(np.diff(one, axis=axis)) for axis in (-1, -2))
    return agreed, seen, area, edges


def expect_disagreement(
    network: _Array, area: npt.NDArray[np.int64], edges: npt.NDArray[np.int64], scale: float = 1.0
) -> _Array:
    """D0 of each class from its N and from area and edges as in ``count_overlap``; see ``labels.excess``.

    A pixel outline is longer than the curve that it stands for by 4 / pi on average.
    """
    outline = divide(edges * (np.pi / 4) * scale, area)
    return np.asarray(np.sqrt(VARIANCE * network**2 + (JITTER * outline) ** 2))


def average_known(values: _Array) -> float:
    """The mean of the values that are finite; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def divide(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> _Array:
    """``part / whole``, NaN where ``whole`` is 0."""
    ratio = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio
