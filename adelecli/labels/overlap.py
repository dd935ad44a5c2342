"""Overlap of two label arrays: confusion, Dice, IoU, and how wrong labels are before and after a correction.

Why: shares of all voxels hide everything when background is 95-99 % of a volume, so an error is counted against the
union of true and noisy foreground. What must hold: everything is counts first and ratios last, so that slabs, cases and
ranks pool by ``+``; voxels marked ``IGNORE`` in what is compared are left out; an undefined ratio is NaN, never 0 or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adelecli.labels.classes import IGNORE, LabelArray

_CHUNK = 1 << 20  # joint codes need 8 bytes a voxel: pieces of a million keep that at 8 MB for any volume


def count_pairs(first: LabelArray, second: LabelArray) -> npt.NDArray[np.int64]:
    """Joint histogram [256, 256] of two index arrays of one shape; [i, j] counts ``first == i`` and ``second == j``."""
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
    if any(a.dtype != np.uint8 and a.size and (a.min() < 0 or a.max() > 255) for a in (first, second)):
        raise ValueError("class indices lie in 0..255; encode label ids first")
    a, b = first.reshape(-1), second.reshape(-1)
    counts = np.zeros(256 * 256, np.int64)
    for start in range(0, a.size, _CHUNK):
        piece = slice(start, start + _CHUNK)
        codes = a[piece].astype(np.intp) * 256 + b[piece]
        counts += np.bincount(codes, minlength=256 * 256)
    return counts.reshape(256, 256)


def confusion(
    prediction: LabelArray, reference: LabelArray, n_classes: int, ignore: int = IGNORE
) -> npt.NDArray[np.int64]:
    """Counts [K, K], rows the reference, columns the prediction; voxels that either side ignores are left out.

    Raises ValueError when the shapes differ or a value is neither a class nor ``ignore``.
    """
    pairs = count_pairs(reference, prediction)
    pairs[ignore, :] = 0
    pairs[:, ignore] = 0
    counts = pairs[:n_classes, :n_classes].copy()
    if counts.sum() != pairs.sum():
        raise ValueError(f"values outside 0..{n_classes - 1} that are not {ignore}")
    return counts


def dice_scores(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Dice per class, 2 TP / (reference + prediction), from a confusion [K, K]; NaN where a class is in neither."""
    return _divide(2 * np.diagonal(counts), counts.sum(0) + counts.sum(1))


def iou_scores(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU (Jaccard) per class from a confusion [K, K]; NaN where a class is in neither."""
    hits = np.diagonal(counts)
    return _divide(hits, counts.sum(0) + counts.sum(1) - hits)


def _divide(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    ratio = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


@dataclass(frozen=True)
class LabelErrorCounts:
    """Voxels behind a label error; add two to pool them.

    ``union``: true or noisy foreground. ``wrong_before``, ``wrong_after``: labels that differ from the truth.
    ``changed``: by the correction; ``fixed``: of these, wrong before and right after; ``broken``: right before and
    wrong after.
    """

    union: int = 0
    wrong_before: int = 0
    wrong_after: int = 0
    changed: int = 0
    fixed: int = 0
    broken: int = 0

    def __add__(self, other: LabelErrorCounts) -> LabelErrorCounts:
        return LabelErrorCounts(
            self.union + other.union,
            self.wrong_before + other.wrong_before,
            self.wrong_after + other.wrong_after,
            self.changed + other.changed,
            self.fixed + other.fixed,
            self.broken + other.broken,
        )

    @property
    def error_before(self) -> float:
        """Wrong voxels of the noisy labels per voxel of the union."""
        return _ratio(self.wrong_before, self.union)

    @property
    def error_after(self) -> float:
        """Wrong voxels of the corrected labels per voxel of the (same) union."""
        return _ratio(self.wrong_after, self.union)

    @property
    def precision(self) -> float:
        """Share of the changes that are right."""
        return _ratio(self.fixed, self.changed)

    @property
    def recall(self) -> float:
        """Share of the wrong voxels that were put right."""
        return _ratio(self.fixed, self.wrong_before)

    @property
    def broken_per_fixed(self) -> float:
        """Right voxels made wrong for each wrong voxel made right; below 1 the correction helps."""
        return _ratio(self.broken, self.fixed)


@dataclass(frozen=True)
class LabelError:
    """Label error over all classes (``overall``) and one against the rest per index; pools by ``+``."""

    overall: LabelErrorCounts
    per_class: tuple[LabelErrorCounts, ...]

    def __add__(self, other: LabelError) -> LabelError:
        pooled = tuple(a + b for a, b in zip(self.per_class, other.per_class, strict=True))
        return LabelError(self.overall + other.overall, pooled)


def label_error(
    noisy: LabelArray,
    true: LabelArray,
    corrected: LabelArray | None = None,
    *,
    n_classes: int,
    within: npt.NDArray[np.bool_] | None = None,
) -> LabelError:
    """Error of noisy and corrected labels against the truth; all index arrays of one shape, e.g. [Z, Y, X].

    Voxels that are ``IGNORE`` in the truth or in the noisy labels are left out; an abstention (``IGNORE`` in
    ``corrected``) is a change that repairs nothing. ``corrected`` None stands for "nothing changed". ``within``
    restricts the count, for instance to a band around the true boundaries (``surface.find_boundary_band``).
    """
    scored = (true != IGNORE) & (noisy != IGNORE)
    if within is not None:
        scored &= within
    before, truth = noisy[scored], true[scored]
    after = before if corrected is None else corrected[scored]
    wrong_before, wrong_after, changed = before != truth, after != truth, before != after
    overall = LabelErrorCounts(
        union=int(np.count_nonzero((before > 0) | (truth > 0))),
        wrong_before=int(np.count_nonzero(wrong_before)),
        wrong_after=int(np.count_nonzero(wrong_after)),
        changed=int(np.count_nonzero(changed)),
        fixed=int(np.count_nonzero(wrong_before & ~wrong_after)),
        broken=int(np.count_nonzero(~wrong_before & wrong_after)),
    )
    return LabelError(overall, _count_per_class(before, truth, after, n_classes))


def _count_per_class(
    before: LabelArray, truth: LabelArray, after: LabelArray, n_classes: int
) -> tuple[LabelErrorCounts, ...]:
    """One class against the rest: a voxel counts for the class it leaves and for the class it joins."""
    old, new = count_pairs(truth, before), count_pairs(truth, after)
    moved = before != after
    source, target, real = before[moved], after[moved], truth[moved]
    left, joined = np.bincount(source, minlength=256), np.bincount(target, minlength=256)
    left_wrongly = np.bincount(source[source == real], minlength=256)
    joined_rightly = np.bincount(target[target == real], minlength=256)
    counts = []
    for c in range(n_classes):
        in_truth, in_old, in_new = old[c].sum(), old[:, c].sum(), new[:, c].sum()
        counts.append(
            LabelErrorCounts(
                union=int(in_truth + in_old - old[c, c]),
                wrong_before=int(in_truth + in_old - 2 * old[c, c]),
                wrong_after=int(in_truth + in_new - 2 * new[c, c]),
                changed=int(left[c] + joined[c]),
                fixed=int(left[c] - left_wrongly[c] + joined_rightly[c]),
                broken=int(left_wrongly[c] + joined[c] - joined_rightly[c]),
            )
        )
    return tuple(counts)


def _ratio(part: int, whole: int) -> float:
    """Part / whole; NaN for 0 / 0, infinite for anything else over 0."""
    if whole:
        return part / whole
    return math.inf if part else math.nan
