"""When a network begins to memorise a class: IoU curve -> fitted growth curve -> onset.

Why: a network first learns what labels have in common and later each label's own mistakes; correction must begin in
between, at a different epoch for each class (ADELE, arXiv 2110.03740, section 3.1). The training IoU of a class against
its noisy labels rises as ``f(t) = a (1 - exp(-b t^c))`` while the network learns early; once ``f`` has bent so far that
its slope is a tenth of the first one, what still improves is memorisation. What must hold: everything here is a
function of the curve so far (no state that a resumed run could lose, no clock, no randomness); a fit that fails means
"not yet" and is told, never raised; a class that has triggered stays triggered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

if TYPE_CHECKING:
    from collections.abc import Sequence

_Vector: TypeAlias = npt.NDArray[np.float64]

# a, b, c: the paper's ranges, with floors that keep logarithms and slopes finite
_LOWER = (1e-4, 1e-6, 0.02)
_UPPER = (1.0, 50.0, 1.0)
_LAST_WEIGHT = 10.0


@dataclass(frozen=True)
class Fit:
    """``f(t) = a (1 - exp(-b t^c))`` and the unweighted root mean square of its residuals."""

    a: float
    b: float
    c: float
    rmse: float

    def index(self, t: float) -> float:
        """``memorisation_index`` of this curve at ``t``."""
        return memorisation_index(self.b, self.c, t)


@dataclass(frozen=True)
class Onset:
    """What a curve says so far: whether, and at which epoch (from 1), memorisation of the class was seen to begin.

    ``fit`` and ``index`` (rho, 0..1) belong to the last measured epoch, also after the trigger; ``learnt`` is the first
    epoch with a sizeable IoU, where the time axis starts; ``reason`` says in words why the class has or has not
    triggered.
    """

    triggered: bool
    epoch: int | None
    fit: Fit | None
    index: float | None
    reason: str
    learnt: int | None = None


@dataclass(frozen=True)
class Criterion:
    """When a class triggers: rho above ``r`` at ``consecutive`` measured epochs in a row.

    One positive alone fires falsely on noisy curves. A class is *learnt* at the first epoch with IoU >= ``learnt``; no
    fit is tried before ``min_points`` measured epochs from there, nor while the highest IoU is below ``min_iou``.
    """

    r: float = 0.9
    consecutive: int = 2
    min_points: int = 4
    learnt: float = 0.05
    min_iou: float = 0.1


def memorisation_index(b: float, c: float, t: float) -> float:
    """``rho(t) = 1 - f'(t) / f'(1) = 1 - t^(c-1) exp(-b (t^c - 1))``: 0 at t = 1, towards 1 as the curve flattens.

    ``t`` >= 1 in epochs since the class was learnt; the height ``a`` cancels. Source: arXiv 2110.03740, equation 4.
    """
    return float(1.0 - t ** (c - 1.0) * math.exp(-b * (t**c - 1.0)))


def fit_curve(ious: Sequence[float]) -> Fit | None:
    """Weighted least squares fit of ``f`` to IoUs (0..1) at t = 1, 2, 3, ...; NaN points are skipped.

    The weights of the residuals rise geometrically from 1 to 10 from the first to the last point (reference code),
    because the end of the curve decides. None when fewer than 3 points are finite or the solver fails.
    """
    return _fit_values(tuple(ious))


# a resumed or replayed curve asks for the same prefixes again at every epoch
@lru_cache(maxsize=2048)
def _fit_values(ious: tuple[float, ...]) -> Fit | None:
    values = np.asarray(ious, np.float64)
    measured = np.isfinite(values)
    if np.count_nonzero(measured) < 3:
        return None
    t: _Vector = np.flatnonzero(measured).astype(np.float64) + 1.0
    y = values[measured]
    return fit_points(t, y, np.geomspace(1.0, _LAST_WEIGHT, y.size).astype(np.float64))


def fit_points(t: _Vector, y: _Vector, weights: _Vector) -> Fit | None:
    """Weighted least squares fit of ``f`` to IoUs ``y`` (0..1) at times ``t`` > 0, all ``[n]``; None when the solver fails."""
    found = _polish(_choose_start(t, y, weights), t, y, weights)
    if found is None:
        return None
    a, b, c = (float(p) for p in found)
    return Fit(a, b, c, rmse=float(np.sqrt(np.mean((_grow(found, t) - y) ** 2))))


def _grow(parameters: _Vector, t: _Vector) -> _Vector:
    a, b, c = parameters
    return np.asarray(-a * np.expm1(-b * t**c))


def _choose_start(t: _Vector, y: _Vector, weights: _Vector) -> _Vector:
    """The best of 119 starts: the cost has several minima, and for given (b, c) the best ``a`` is a division."""
    b, c = (g.ravel() for g in np.meshgrid(np.geomspace(1e-3, 10.0, 17), np.linspace(0.1, 1.0, 7)))
    shape = -np.expm1(-b[:, None] * t ** c[:, None])
    squared = weights**2
    a = np.clip((shape * y * squared).sum(1) / (shape**2 * squared).sum(1), _LOWER[0], _UPPER[0])
    best = int(np.argmin(((a[:, None] * shape - y) ** 2 * squared).sum(1)))
    return np.array([a[best], b[best], c[best]])


def _polish(start: _Vector, t: _Vector, y: _Vector, weights: _Vector) -> _Vector | None:
    """The parameters of the minimum near ``start``, or None when the solver fails."""
    inner = np.clip(start, np.multiply(_LOWER, 1.001), np.multiply(_UPPER, 0.999))
    log_t = np.log(t)

    def compute_residuals(p: _Vector) -> _Vector:
        return (_grow(p, t) - y) * weights

    def compute_jacobian(p: _Vector) -> _Vector:
        a, b, c = p
        power = t**c
        decay = np.exp(-b * power)
        return np.stack([1 - decay, a * decay * power, a * b * decay * power * log_t], 1) * weights[:, None]

    try:
        result: Any = least_squares(
            compute_residuals,
            inner,
            jac=compute_jacobian,
            bounds=(_LOWER, _UPPER),
            x_scale=(0.5, 0.3, 0.5),
            max_nfev=200,
        )
    except (ValueError, np.linalg.LinAlgError):
        return None
    return np.asarray(result.x) if np.isfinite(result.x).all() else None


class ClassOnset:
    """The onset of one class, epoch by epoch: ``update`` with each epoch's IoU, or ``append`` and read ``onset`` later.

    Equal at every epoch to ``detect_onset`` of the curve so far, at the cost of one fit per epoch instead of one per
    prefix.
    """

    def __init__(self, criterion: Criterion | None = None) -> None:
        self.criterion = criterion or Criterion()
        self.curve: list[float] = []
        self.epoch: int | None = None
        self._learnt: int | None = None
        self._streak = 0
        self._state: _CurveState | None = None

    def update(self, iou: float) -> Onset:
        """Append one epoch's IoU (0..1; NaN: the class was absent from the epoch) and say where the class stands."""
        self.append(iou)
        return self.onset

    def append(self, iou: float) -> None:
        """Append one epoch's IoU; after the trigger this fits nothing until ``onset`` is read."""
        self.curve.append(float(iou))
        if not math.isfinite(iou):
            return
        if self._learnt is None and iou >= self.criterion.learnt:
            self._learnt = len(self.curve)
        self._state = _CurveState(tuple(self.curve), self._learnt, self.criterion)
        if self.epoch is None:
            index = self._state.index
            self._streak = self._streak + 1 if index is not None and index > self.criterion.r else 0
            if self._streak >= self.criterion.consecutive:
                self.epoch = len(self.curve)

    @property
    def onset(self) -> Onset:
        """Where the class stands after the last epoch."""
        state = self._state
        if state is None:
            return Onset(triggered=False, epoch=None, fit=None, index=None, reason="absent from every epoch so far")
        reason = state.reason if self.epoch is None else f"memorisation began by epoch {self.epoch}"
        return Onset(self.epoch is not None, self.epoch, state.fit, state.index, reason, self._learnt)


class _CurveState:
    """What a curve that ends at a measured epoch says there, fitted only when somebody asks."""

    def __init__(self, curve: Sequence[float], learnt: int | None, criterion: Criterion) -> None:
        self.learnt, self.criterion = learnt, criterion
        self.since = () if learnt is None else curve[learnt - 1 :]

    @cached_property
    def obstacle(self) -> str | None:
        """Why no fit is tried yet."""
        need = self.criterion
        if self.learnt is None:
            return f"not learnt: IoU stayed below {need.learnt:g}"
        measured = [iou for iou in self.since if math.isfinite(iou)]
        if len(measured) < need.min_points:
            return f"learnt at epoch {self.learnt}, {len(measured)} of {need.min_points} points for a fit"
        if max(measured) < need.min_iou:
            return f"hardly learnt: the highest IoU is {max(measured):.3f}, below {need.min_iou:g}"
        return None

    @cached_property
    def fit(self) -> Fit | None:
        return None if self.obstacle else fit_curve(self.since)

    @cached_property
    def index(self) -> float | None:
        return None if self.fit is None else self.fit.index(len(self.since))

    @property
    def reason(self) -> str:
        if self.obstacle:
            return self.obstacle
        if self.index is None:
            return "the curve could not be fitted"
        need = self.criterion
        return f"memorisation index {self.index:.3f}; needs more than {need.r:g} at {need.consecutive} epochs in a row"


def detect_onset(
    curve: Sequence[float],
    *,
    r: float = 0.9,
    consecutive: int = 2,
    min_points: int = 4,
    learnt: float = 0.05,
    min_iou: float = 0.1,
) -> Onset:
    """The onset of a class from its whole IoU curve, one value per epoch from epoch 1 (NaN: class absent, skipped).

    The options are those of ``Criterion``. Replays the curve, because a trigger at any prefix lasts.
    """
    tracker = ClassOnset(Criterion(r, consecutive, min_points, learnt, min_iou))
    for iou in curve:
        tracker.append(iou)
    return tracker.onset
