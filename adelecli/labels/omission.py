"""Classes that a case lacks altogether although a network that learnt from the other cases plainly sees them.

Why: an organ that somebody forgot to draw is no outline in the wrong place. It disagrees with the network as much as a label can, says
nothing of how well the rest of the case is drawn, and no outline can be moved to mend it. So it is judged by itself: by whether the
network is sure of about as much of the class as the cases show that have it. What must hold: only a class of which a case holds not
one pixel is ever restored, and only over background; a case that truly lacks it, of which a network sees a faint piece at most,
stays as it is; all is a function of counts, so that a volume can be judged slice by slice.

The weight of a class in a case: its *sure* pixels, those of which it is the network's own best class with more than ``SURE``,
per slice that holds any. A class is taken for omitted where the case lacks it and its weight reaches ``SHARE`` of the median weight
over the cases that have it. What is restored are the pixels that the network calls so above the class's tau.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, IndexArray

SURE = 0.7
"""A pixel counts for a class above this probability: a class that is not there is seen faintly, if at all."""
SHARE = 0.75
"""How much of the median weight of those that have the class a case must reach: networks that learnt from omissions see a little less."""
LEAST_CASES = 10
"""Of a class that fewer cases than this have, nobody knows how large it is."""

_Tally = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Restoration:
    """When a class that a case lacks is restored: from the weight ``least`` on, per class 1..K-1; NaN: never."""

    least: tuple[float, ...]

    @property
    def classes(self) -> frozenset[int]:
        """The indices (from 1) of the classes that may be restored."""
        return frozenset(index for index, weight in enumerate(self.least, 1) if not math.isnan(weight))

    def choose(self, tally: _Tally, scale: float = 1.0) -> frozenset[int]:
        """The classes to restore in a case, from its ``count_sure``.

        ``scale``: pixels of the counted arrays per pixel of the network's grid, along a side.
        """
        return frozenset(np.flatnonzero(find_omitted(tally[None], self.least, scale)[0]) + 1)


def count_sure(
    labels: IndexArray, prediction: IndexArray, confidence: npt.NDArray[np.floating[Any]], n_classes: int
) -> _Tally:
    """Pixels of each class 1..K-1 in ``labels``, sure ones of the prediction, slices that hold these: ``[3, K - 1]``; slices add up.

    All arrays are ``[S, H, W]`` or ``[H, W]``; ``confidence`` is the probability of ``prediction``. Ignored pixels are left out.
    """
    sure = (confidence > SURE) & (labels != IGNORE)
    tally = np.zeros((3, n_classes - 1), np.int64)
    for c in range(1, n_classes):
        seen = sure & (prediction == c)
        tally[:, c - 1] = (
            np.count_nonzero(labels == c),
            np.count_nonzero(seen),
            np.count_nonzero(seen.any(axis=(-1, -2))),
        )
    return tally


def weigh(tallies: _Tally, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """The weight of each class in each case ``[..., K - 1]`` from ``count_sure`` ``[..., 3, K - 1]``; 0 where nothing is sure."""
    sure, planes = tallies[..., 1, :], tallies[..., 2, :]
    return np.asarray(sure / np.maximum(planes, 1) / scale**2, np.float64)


def learn_restoration(tallies: _Tally, known: npt.NDArray[np.bool_]) -> Restoration:
    """What weight a class must reach to be restored, from all cases' ``count_sure`` ``[cases, 3, K - 1]``.

    ``known [K - 1]``: the classes of which the network may be believed. A class is not restored where fewer than ``LEAST_CASES`` have
    it, where the network is sure of none of it in half of those, or where no case looks as if it were omitted.
    """
    drawn, weights = tallies[:, 0] > 0, weigh(tallies)
    least = np.full(tallies.shape[-1], np.nan)
    for index in np.flatnonzero(known & (drawn.sum(0) >= LEAST_CASES)):
        median = float(np.median(weights[drawn[:, index], index]))
        if median > 0:
            least[index] = SHARE * median
    least[~find_omitted(tallies, least).any(0)] = math.nan
    return Restoration(tuple(least.tolist()))


def find_omitted(tallies: _Tally, least: npt.ArrayLike, scale: float = 1.0) -> npt.NDArray[np.bool_]:
    """Which classes look omitted in which case ``[cases, K - 1]``: not drawn, and of the weight ``least [K - 1]`` or more (NaN: never)."""
    return np.asarray((tallies[:, 0] == 0) & (weigh(tallies, scale) >= np.asarray(least)), np.bool_)


def keep_present(counts: _Tally, present: frozenset[int]) -> _Tally:
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
