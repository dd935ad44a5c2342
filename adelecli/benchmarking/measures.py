"""The numbers of the table, each a small pure function of what a run recorded.

What must hold: nothing is chosen by its result; a number that does not exist is ``None``, never 0; the "best" epoch is always reported
beside the last and the mean of the last five, because it flatters every method alike.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LAST = 5
LEARNT = 0.3


def average_last(values: Sequence[float | None], count: int = LAST) -> float | None:
    """The mean of the last ``count`` epochs (fewer where there are fewer); ``None`` where one of them has no value.

    >>> average_last([0.9, 0.1, 0.2, 0.3, 0.4, 0.5])
    0.3
    """
    tail = [value for value in values[-count:] if value is not None]
    return round(sum(tail) / len(tail), 6) if tail and len(tail) == len(values[-count:]) else None


def find_best(values: Sequence[float | None]) -> float | None:
    """The largest of the epochs' values; ``None`` where there is none."""
    return max((value for value in values if value is not None), default=None)


def share_gap(method: float | None, noisy: float | None, clean: float | None) -> float | None:
    """``(method - noisy) / (clean - noisy)``, the share of the gap recovered; ``None`` where the noise did no harm.

    >>> share_gap(0.7, 0.6, 0.8)
    0.5
    """
    if method is None or noisy is None or clean is None or clean - noisy <= 1e-9:
        return None
    return round((method - noisy) / (clean - noisy), 6)


def find_worst(values: Iterable[float | None]) -> float | None:
    """The smallest of the values that exist."""
    return min((value for value in values if value is not None), default=None)


def find_learnt(ious: Sequence[float | None], threshold: float = LEARNT) -> int | None:
    """The epoch (from 1) at which a class's validation IoU first reached ``threshold``; ``None``: never.

    >>> find_learnt([0.0, 0.2, 0.35, 0.1])
    3
    """
    return next((epoch for epoch, iou in enumerate(ious, 1) if iou is not None and iou >= threshold), None)


def spread_learnt(epochs: Sequence[int | None]) -> int | None:
    """Epochs between the first and the last class to be learnt; ``None`` where one never was, or there is none."""
    known = [epoch for epoch in epochs if epoch is not None]
    return max(known) - min(known) if known and len(known) == len(epochs) else None


def rank_values(values: Sequence[float]) -> list[float]:
    """The ranks from 1, ties sharing their mean rank.

    >>> rank_values([0.2, 0.1, 0.2])
    [2.5, 1.0, 2.5]
    """
    array = np.asarray(values, dtype=float)
    return [float((array < value).sum() + ((array == value).sum() + 1) / 2) for value in array]


def correlate_ranks(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's correlation; ``None`` for fewer than two pairs or where one side is constant."""
    if len(first) < 2:
        return None
    a, b = (np.array(rank_values(values)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / scale, 6) if scale else None


def share_found(predicted: Sequence[float], errors: Sequence[float], part: float = 0.2) -> float | None:
    """The share of all ``errors`` that lies in the first ``part`` of the cases, sorted by ``predicted``, largest first.

    At least one case is looked at; ties keep their order. ``None`` where there are no errors.
    """
    total = sum(errors)
    if not total:
        return None
    order = sorted(range(len(predicted)), key=lambda i: -predicted[i])
    looked_at = order[: max(1, math.ceil(part * len(order)))]
    return round(sum(errors[i] for i in looked_at) / total, 6)


def share_removed(before: float | None, after: float | None, removable: float | None) -> float | None:
    """``(1 - after / before) / removable``: of the label error that the noise lets anybody remove, how much was.

    ``removable`` is the share of a draw's error that the exact posterior removes; a share, because that draw is another one
    than the labels. ``None`` where nothing can be removed.

    >>> share_removed(0.4, 0.3, 0.5)
    0.5
    """
    if not before or after is None or removable is None or removable <= 1e-9:
        return None
    return round((1 - after / before) / removable, 6)


def average_known(values: Iterable[float | None]) -> float | None:
    """The mean of the values that exist."""
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 6) if known else None


def spread_known(values: Iterable[float | None]) -> float | None:
    """The standard deviation (n - 1) of the values that exist; ``None`` for fewer than two."""
    known = [value for value in values if value is not None]
    return round(statistics.stdev(known), 6) if len(known) > 1 else None
