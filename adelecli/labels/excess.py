"""How noisy labels are, without a clean one: by how much they disagree with a network beyond what honest labels would.

Why: a confident disagreement of a network with a label is as often the network's error as the label's, so a correction that
believes every one of them ruins clean labels. Two things explain disagreement with clean labels: what the network does not know,
which shows when two networks that learnt from different cases disagree with each other, and that nobody draws an outline
twice alike, which costs the more the more outline a structure has. Only what goes beyond both speaks against the labels. What must
hold: labels whose disagreement is explained count as clean, and nothing of them is corrected; all is a function of counts.

The network's word is the one that corrections go by: its prediction averaged along the outline of the labels (``labels.outline``), which
takes most of its own error away and leaves most of theirs.

Per case and class, on one grid: ``D = 1 - IoU(labels, out-of-fold prediction along their outline)``; ``N`` the same with the in-fold
prediction in the place of the labels, as if that network had drawn them;
``B`` the outline in pixels per pixel of area, of labels and prediction together; honest labels would have
``D0**2 = VARIANCE N**2 + (JITTER B)**2``. A case's *excess* is the mean of ``D / D0`` over the classes, its own N drawn halfway to that of
all cases, because of a few slices it is known badly. Over all
cases it is a mixture of clean (around 1) and noisy ones, told apart by the local false discovery rate with an empirical null
(Efron, "Large-scale simultaneous hypothesis testing", JASA 2004).
Cases that are known to be right (*trusted*) say what honest disagreement is on these data: ``D0`` of each class is multiplied by their
own pooled ``D / D0``, and they are not judged.
Its constants, and those of ``labels.gate``, were fitted to clean and noisy hippocampus slices; docs/learning.md says how they fare
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from adelecli.labels.gate import Gate, average_known, divide, expect_disagreement
from adelecli.labels.omission import Restoration  # noqa: TC001 - msgspec reads the types of the fields

POWER = 2.0
"""How label error adds to what is expected, ``D**p = D0**p + error**p``: as independent errors do."""
SHRINKAGE = 0.5
"""How far a case's squared N is drawn to that of all cases."""
LEAST_EXCESS = 1.1
"""A class whose pooled ``D / D0`` stays below this counts as clean: the constants are not known better than that."""
MOST_DISAGREEMENT = 0.4
"""Where two networks disagree by more than this, neither has learnt the class, and nothing can be said of its labels."""
LEAST_CASES = 10
"""Fewer cases than this below 1 do not tell how wide the null is; then it is ``DEFAULT_SPREAD``."""
DEFAULT_SPREAD = 0.2
LEAST_TRUSTED = 3
"""Fewer trusted cases than this do not tell what honest disagreement is: one easy or hard case would decide."""
LEAST_FACTOR = 0.25
"""D0 is never multiplied by less: a few trusted cases that agree by luck must not make every other one noisy."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Pixels per case and foreground class, all ``[cases, K - 1]``; concatenate to add cases.

    ``agreed``, ``seen``: in both of labels and out-of-fold prediction, in at least one. ``shared``, ``shown``: the same with the
    in-fold prediction in the place of the labels. ``area``, ``edges``: pixels, and pixel sides on the outline, of the labels and of the
    out-of-fold prediction added: an outline that was drawn too small alone would excuse itself.
    """

    agreed: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]
    area: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]

    def pick(self, cases: npt.NDArray[np.bool_]) -> Counts:
        """The counts of the marked ``cases [cases]`` alone."""
        return Counts(*(getattr(self, field.name)[cases] for field in fields(self)))


@dataclass(frozen=True)
class ClassNoise:
    """What is known about the labels of one class.

    ``disagreement`` (D), ``expected`` (D0) and ``network`` (N): pooled over the cases, see the module. ``error``: the estimated label
    error, 1 - IoU with the truth, and its 90 % interval from resampled cases (the constants' own uncertainty is not in it).
    ``factor``: by what D0 was multiplied because trusted cases say so; it is in ``expected``. ``bias``: how many pixels of the
    network's grid too large the class is drawn (``labels.bias``); ``None``: not asked, or not known. ``shift``: by how many pixels
    its outlines are moved outwards before anything is learnt from them.
    """

    disagreement: float
    expected: float
    network: float
    error: float
    low: float
    high: float
    factor: float = 1.0
    bias: float | None = None
    shift: float = 0.0

    @property
    def judged(self) -> bool:
        """Whether the networks knew the class well enough to say anything about its labels."""
        return self.network <= MOST_DISAGREEMENT

    @property
    def noisy(self) -> bool:
        """Whether anything speaks against the labels of this class."""
        return self.error > 0


@dataclass(frozen=True)
class Omission:
    """A class that looks left out of a case: its ``index`` (from 1), and in which ``box`` of the case it is seen.

    ``box``: first and last + 1 of the case's slices, and of rows and columns of the network's grid.
    """

    case: str
    index: int
    box: tuple[int, ...]


@dataclass(frozen=True)
class Noise:
    """The noise of a data set: per class, the share of cases that look clean, the excess per case, and the gate that follows.

    Trusted cases are left out of all of it. ``restoration``: when a class that a case lacks is restored (``labels.omission``), ``omitted``:
    what looks left out of which case; ``None`` and empty where nobody asked.
    """

    classes: tuple[ClassNoise, ...]
    clean_share: float
    excess: tuple[float, ...]
    threshold: float | None
    restoration: Restoration | None = None
    omitted: tuple[Omission, ...] = ()

    @property
    def noisy_classes(self) -> frozenset[int]:
        """The indices (from 1) of the classes whose labels are to be corrected; none where no case looks noisy."""
        if self.threshold is None:
            return frozenset()
        return frozenset(index for index, entry in enumerate(self.classes, 1) if entry.noisy)

    @property
    def gate(self) -> Gate | None:
        """The gate for corrections; ``None`` where no case looks noisy."""
        if self.threshold is None:
            return None
        network = tuple(entry.network if entry.noisy else float("nan") for entry in self.classes)
        return Gate(network, self.threshold, tuple(entry.factor for entry in self.classes))


def estimate_noise(
    counts: Counts, *, trusted: npt.NDArray[np.bool_] | None = None, seed: int = 0, rounds: int = 200
) -> Noise:
    """The noise of a data set from the counts of its cases; needs two or more cases to speak against any of them.

    ``trusted [cases]``: whose labels are right. They are not judged, and ``LEAST_TRUSTED`` or more of them calibrate D0.
    """
    right = np.zeros(len(counts.seen), np.bool_) if trusted is None else trusted
    factor = _calibrate(counts.pick(right))
    counts = counts.pick(~right)
    pooled = _pool(counts, np.arange(len(counts.seen)), factor)
    disagreement, expected, network = pooled
    suspicious = (disagreement >= LEAST_EXCESS * expected) & (network <= MOST_DISAGREEMENT)
    ratios = np.where(suspicious, _case_ratios(counts, factor), np.nan)
    excess = np.array([average_known(row) for row in ratios])
    clean, threshold = _split(excess[np.isfinite(excess)])
    picked = np.flatnonzero(excess >= (np.inf if threshold is None else threshold))
    rng = np.random.default_rng(seed)
    samples = [
        _errors(counts, picked[rng.integers(0, len(picked), len(picked))], factor)
        for _ in range(rounds if len(picked) else 0)
    ]
    errors = np.where(suspicious, _errors(counts, picked, factor), 0.0)
    spread = np.where(suspicious, samples, 0.0) if samples else errors[None]
    low, high = (np.nanquantile(spread, q, axis=0) if len(spread) else errors for q in (0.05, 0.95))
    classes = tuple(
        ClassNoise(*(float(v) for v in values)) for values in zip(*pooled, errors, low, high, factor, strict=True)
    )
    return Noise(classes, clean, tuple(float(v) for v in excess), threshold)


def _calibrate(counts: Counts) -> _Array:
    """By what D0 of each class is to be multiplied ``[K - 1]``, so that the trusted cases ``counts`` disagree as expected.

    Their pooled D / D0; for a class that fewer than ``LEAST_TRUSTED`` of them show, or that the networks do not know, the mean of the
    other classes'. 1 without enough cases.
    """
    every = np.arange(len(counts.seen))
    if len(every) < LEAST_TRUSTED:
        return np.ones(counts.seen.shape[1])
    disagreement, expected, network = _pool(counts, every, 1.0)
    ratios = np.where(network <= MOST_DISAGREEMENT, divide(disagreement, expected), np.nan)
    shown = np.isfinite(ratios) & (np.count_nonzero(counts.seen, axis=0) >= LEAST_TRUSTED)
    factor = np.where(shown, ratios, average_known(ratios))
    return np.maximum(np.where(np.isfinite(factor), factor, 1.0), LEAST_FACTOR)


def _pool(counts: Counts, cases: npt.NDArray[np.intp], factor: _Array | float) -> tuple[_Array, _Array, _Array]:
    """D, D0 (times ``factor``) and N of each class over ``cases`` together."""
    total = _sum(counts, cases)
    network = divide(total.shown - total.shared, total.shown)
    disagreement = divide(total.seen - total.agreed, total.seen)
    return disagreement, expect_disagreement(network, total.area, total.edges) * factor, network


def _sum(counts: Counts, cases: npt.NDArray[np.intp] | slice = slice(None)) -> Counts:
    """Over the ``cases`` together, each ``[K - 1]``."""
    return Counts(*(getattr(counts, field.name)[cases].sum(0) for field in fields(counts)))


def _case_ratios(counts: Counts, factor: _Array) -> _Array:
    """``D / D0`` of each case and class ``[cases, K - 1]``; NaN where the class is not there."""
    own, pooled = (divide(part.shown - part.shared, part.shown) for part in (counts, _sum(counts)))
    network = np.sqrt(SHRINKAGE * pooled**2 + (1 - SHRINKAGE) * own**2)
    expected = expect_disagreement(network, counts.area, counts.edges)
    return divide(divide(counts.seen - counts.agreed, counts.seen), expected * factor)


def _errors(counts: Counts, picked: npt.NDArray[np.intp], factor: _Array) -> _Array:
    """The label error of each class that the excess of the ``picked`` cases amounts to, over all cases."""
    whole = counts.seen.sum(0)
    if not len(picked):
        return np.zeros(len(whole))
    disagreement, expected, _ = _pool(counts, picked, factor)
    excess = np.maximum(disagreement**POWER - expected**POWER, 0) ** (1 / POWER)
    share = np.minimum(divide(counts.seen[picked].sum(0), whole), 1)
    return np.asarray(np.nan_to_num(excess * share))


def _split(excess: _Array) -> tuple[float, float | None]:
    """The share of clean cases and the least excess at which a case is more likely noisy; ``None`` where no case is.

    The null is centred at 1; its width is that of the cases below 1, mirrored. The share of clean cases is twice that of the cases
    below 1 (Storey's estimate with lambda = 1/2). The density of all cases is a Gaussian kernel's (Silverman's width).
    """
    if len(excess) < 2:
        return 1.0, None
    below = excess[excess < 1]
    spread = max(float(np.sqrt(np.mean((below - 1) ** 2))), 0.05) if len(below) >= LEAST_CASES else DEFAULT_SPREAD
    clean = min(1.0, 2 * len(below) / len(excess))
    width = max(1.06 * float(excess.std()) * len(excess) ** -0.2, 0.01)
    grid = np.linspace(1, max(float(excess.max()), 1) + 1e-9, 400)
    density = np.exp(-0.5 * ((grid[:, None] - excess) / width) ** 2).mean(1) / width
    null = clean * np.exp(-0.5 * ((grid - 1) / spread) ** 2) / spread
    noisy = np.flip(np.logical_and.accumulate(np.flip(null <= density / 2)))  # from there on, not in an island
    found = np.flatnonzero(noisy)
    if not len(found) or not (excess >= grid[found[0]]).any():
        return clean, None
    return clean, float(grid[found[0]])
