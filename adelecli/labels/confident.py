"""Confident learning: which labels a network's probabilities call wrong, and the labels put in their place.

A rival to the correction rule, for the benchmark. What must hold: written from the paper alone (Northcutt, Jiang and Chuang, JAIR 2021,
arXiv 1911.00068); everything is a sum first, so that a data set of any size passes through in parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, IndexArray


@dataclass(frozen=True)
class SelfConfidence:
    """Per class ``[K]``: the sum, over the pixels labelled so, of the probability of that label, and their number."""

    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]

    def __add__(self, other: SelfConfidence) -> SelfConfidence:
        return SelfConfidence(self.total + other.total, self.count + other.count)

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """``t_c``, the mean self-confidence of each class (equation 2); infinite for a class that no label names."""
        thresholds = np.full(len(self.total), np.inf)
        np.divide(self.total, self.count, out=thresholds, where=self.count > 0)
        return thresholds


def measure_confidence(labels: IndexArray, probabilities: npt.NDArray[np.floating[Any]]) -> SelfConfidence:
    """The self-confidence of ``labels [N, H, W]`` under ``probabilities [N, K, H, W]``; ignored pixels are left out."""
    classes = probabilities.shape[1]
    valid = labels != IGNORE
    own = np.take_along_axis(probabilities, np.where(valid, labels, 0)[:, None].astype(np.intp), 1)[:, 0]
    held = labels[valid].astype(np.intp)
    return SelfConfidence(
        np.bincount(held, own[valid], minlength=classes).astype(np.float64), np.bincount(held, minlength=classes)
    )


def fix_labels(
    labels: IndexArray, probabilities: npt.NDArray[np.floating[Any]], thresholds: npt.NDArray[np.float64]
) -> IndexArray:
    """``labels [N, H, W]`` with every pixel that is confidently another class given that class; a new array.

    A pixel is confidently of class j where ``p_j >= t_j``; of several such classes the most probable counts (equation 1, the
    confident joint). Where there is none, and on ignored pixels, the label stays.
    """
    reached = np.where(probabilities >= thresholds[None, :, None, None], probabilities, -1.0)
    found = reached.argmax(1)
    change = (reached.max(1) >= 0) & (labels != IGNORE)
    return np.where(change, found, labels).astype(np.uint8)
