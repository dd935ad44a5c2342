"""How much of a noise any corrector could undo: the exact posterior of the noisy label, by Monte Carlo on the true mask.

Why: where a noise is a fair coin, nothing in the image tells which side fell, and the best possible network predicts one half
there; a benchmark must say what is out of reach before it says what was reached (evaluation.md, section 3 item 5). The posterior
is what a perfectly calibrated network, trained on unlimited noisy labels of this very image, would predict. What must hold: the
draws are independent, and the labels that the rule is tried on are none of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, IndexArray
from adelecli.labels.correction import Rule, correct_labels
from adelecli.labels.overlap import LabelErrorCounts, confusion, iou_scores, label_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw: TypeAlias = Callable[[IndexArray, np.random.Generator], IndexArray]

TAUS = (0.5, 0.6, 0.8)
DRAWS = 64


@dataclass(frozen=True)
class Ceiling:
    """What the rule makes of one noisy draw when it is given the posterior; pools by ``+``.

    ``rates``: the counts at each of the ``taus``; ``overlap``: confusion [K, K] of the posterior's argmax (rows: truth).
    """

    taus: tuple[float, ...]
    rates: tuple[LabelErrorCounts, ...]
    overlap: npt.NDArray[np.int64]

    def __add__(self, other: Ceiling) -> Ceiling:
        pooled = tuple(a + b for a, b in zip(self.rates, other.rates, strict=True))
        return Ceiling(self.taus, pooled, self.overlap + other.overlap)

    @property
    def error_before(self) -> float:
        """Label error of the noisy draw."""
        return self.rates[0].error_before

    @property
    def error_after(self) -> float:
        """The lowest label error that any of the ``taus`` reaches."""
        return min(rate.error_after for rate in self.rates)

    @property
    def foreground_iou(self) -> float:
        """Mean IoU over the foreground classes of the posterior's argmax with the truth; NaN where there are none."""
        scores = [float(iou) for iou in iou_scores(self.overlap)[1:] if not math.isnan(iou)]
        return sum(scores) / len(scores) if scores else math.nan


def estimate_posterior(
    labels: IndexArray, draw: Draw, rng: np.random.Generator, *, n_classes: int, draws: int = DRAWS
) -> npt.NDArray[np.float32]:
    """``p(noisy label = c)`` [K, Z, Y, X] of true ``labels`` [Z, Y, X]: the mean over ``draws`` calls of ``draw(labels, rng)``.

    Ignored voxels have probability 0 for every class.
    """
    counts = np.zeros((n_classes, *labels.shape), np.uint16)
    for _ in range(draws):
        noisy = draw(labels, rng)
        for index in range(n_classes):
            counts[index] += noisy == index
    return (counts / np.float32(draws)).astype(np.float32)


def measure_ceiling(
    labels: IndexArray,
    draw: Draw,
    rng: np.random.Generator,
    *,
    n_classes: int,
    taus: Sequence[float] = TAUS,
    draws: int = DRAWS,
) -> Ceiling:
    """The ceiling of a noise on one case [Z, Y, X]: posterior, one more draw, the rule at each of ``taus`` on that draw.

    All classes count as triggered; the prediction must be a class of the same slice of the noisy draw, as in training.
    """
    posterior = estimate_posterior(labels, draw, rng, n_classes=n_classes, draws=draws)
    prediction = posterior.argmax(0).astype(np.uint8)
    confidence = posterior.max(0)
    noisy = draw(labels, rng)
    foreground = frozenset(range(1, n_classes))
    rates = []
    for tau in taus:
        corrected = correct_labels(noisy, prediction, confidence, Rule((tau,) * n_classes, foreground))
        rates.append(label_error(noisy, labels, corrected, n_classes=n_classes).overall)
    prediction[labels == IGNORE] = IGNORE
    return Ceiling(tuple(taus), tuple(rates), confusion(prediction, labels, n_classes))
