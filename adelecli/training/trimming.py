"""The onset rule of the reference code's half for organs, kept beside ours so that the two can be compared.

It cuts off the first epochs of a class's curve until the IoU rises by 0.1 from one epoch to the next, fits the same growth curve to
the rest, and triggers as soon as the epoch is reached at which that fit will have bent far enough. What must hold: a curve that
never rises by 0.1 within an epoch never triggers, however long it is; that is the code's behaviour, not a fault of this copy of it
(algorithm section 3; docs/fidelity.md).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from adelecli.dynamics import Fit, Onset, fit_points

if TYPE_CHECKING:
    from collections.abc import Sequence

RISE = 0.1


def detect_trimmed_onset(curve: Sequence[float], *, epochs: int, r: float = 0.9) -> Onset:
    """The onset of a class from its IoU curve (0..1, one value per epoch from epoch 1; NaN: class absent, skipped).

    ``epochs`` is the planned length of the run: a fit that bends later than that counts as bent in its last epoch.
    """
    values = tuple(float(value) for value in curve)
    fit: Fit | None = None
    for length in range(1, len(values) + 1):
        fit, bend = _judge(values[:length], epochs, r)
        if bend is not None and length - 1 >= bend:
            reason = f"memorisation began by epoch {length}"
            return Onset(triggered=True, epoch=length, fit=fit, index=_index(fit, values), reason=reason)
    waiting = f"no fit: fewer than 3 epochs left after trimming those before a rise of {RISE:g}"
    reason = waiting if fit is None else "the fitted curve bends later"
    return Onset(triggered=False, epoch=None, fit=fit, index=_index(fit, values), reason=reason)


def count_trimmed(curve: Sequence[float]) -> int:
    """How many leading epochs are cut off: up to the first of which the next is higher by 0.1; all but the last if none is."""
    start = 0
    for first, second in pairwise(curve):
        if second - first >= RISE:  # NaN counts as no rise
            break
        start += 1
    return start


# a run asks for the same prefixes again at every epoch
@lru_cache(maxsize=4096)
def _judge(values: tuple[float, ...], epochs: int, r: float) -> tuple[Fit | None, int | None]:
    """The fit to the trimmed curve, and the number of epochs, from the first of the whole curve, after which it has bent."""
    start = count_trimmed(values)
    rest = np.asarray(values[start:], np.float64)
    # with fewer points the rule cannot fire: it needs the bend to lie at an epoch above 1 and below the number of points
    if rest.size < 3:
        return None, None
    # the code spreads its n points from 0 to n; the point at 0 tells nothing, because every curve of the family is 0 there
    t = np.linspace(0.0, rest.size, rest.size)
    used = np.isfinite(rest) & (t > 0)
    if np.count_nonzero(used) < 2:
        return None, None
    fit = fit_points(t[used], rest[used], np.geomspace(1.0, 10.0, rest.size)[used])
    if fit is None:
        return None, None
    bent = (epoch for epoch in range(1, epochs) if fit.index(epoch) > r)
    return fit, start + next(bent, epochs)


def _index(fit: Fit | None, values: Sequence[float]) -> float | None:
    return None if fit is None else fit.index(max(1, len(values) - count_trimmed(values)))
