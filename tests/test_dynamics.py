"""Onset of memorisation: exact values, the six curves, and every way in which a class must not trigger."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from adelecli import dynamics
from adelecli.dynamics import ClassOnset, Criterion, detect_onset, fit_curve, memorisation_index

EPOCHS = np.arange(1, 101, dtype=float)


def grow(height: float, time: float, onset: float = 0.0) -> np.ndarray:
    """``height (1 - exp(-(e - onset) / time))``, 0 before the onset."""
    return height * -np.expm1(-np.clip(EPOCHS - onset, 0, None) / time)


CURVES = {
    "fast": grow(0.8, 3),
    "middle": grow(0.7, 8),
    "slow": grow(0.6, 20),
    "late-fast": grow(0.8, 3, 10),
    "late-slow": grow(0.7, 15, 10),
    "plateau-rise": np.where(EPOCHS < 40, grow(0.55, 5), 0.55 + grow(0.3, 15, 40)),
}
# where the noiseless curve triggers, and how early and late 20 noisy ones may
EXPECTED = {
    "fast": (9, 6, 14),
    "middle": (21, 16, 28),
    "slow": (46, 36, 58),
    "late-fast": (19, 16, 24),
    "late-slow": (45, 38, 58),
    "plateau-rise": (14, 9, 22),
}


@pytest.mark.parametrize(("b", "c", "t"), [(1, 1, 3.3026), (0.3, 1, 8.675), (1, 0.5, 5.85), (1, 0.3, 7.88)])
def test_index_crosses_r_at_the_exact_times(b: float, c: float, t: float) -> None:
    """The four exact values of the specification (r = .9)."""
    crossing = brentq(lambda at: memorisation_index(b, c, at) - 0.9, 1.0, 50.0)
    assert crossing == pytest.approx(t, abs=0.005)


def test_index_is_the_closed_form_of_the_slope_ratio() -> None:
    """The index equals 1 - f'(t) / f'(1) by numerical differentiation, and is 0 at t = 1."""

    def slope(t: float, step: float = 1e-6) -> float:
        f: Callable[[float], float] = lambda at: 0.7 * (1 - math.exp(-0.4 * at**0.6))  # noqa: E731
        return (f(t + step) - f(t - step)) / (2 * step)

    assert memorisation_index(0.4, 0.6, 1.0) == 0.0
    for t in (1.5, 4.0, 20.0):
        assert memorisation_index(0.4, 0.6, t) == pytest.approx(1 - slope(t) / slope(1.0), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 0.95), st.floats(0.05, 1.5), st.floats(0.4, 1.0), st.integers(8, 60))
def test_fit_recovers_a_curve_of_its_own_form(a: float, b: float, c: float, points: int) -> None:
    """A curve without noise is reproduced at every point."""
    t = np.arange(1, points + 1)
    curve = a * -np.expm1(-b * t**c)
    fit = fit_curve(curve.tolist())
    assert fit is not None
    assert fit.rmse < 1e-3
    assert 0 < fit.a <= 1
    assert fit.b > 0
    assert 0 < fit.c <= 1
    assert fit.index(points) == pytest.approx(memorisation_index(b, c, points), abs=0.02)


def test_fit_weights_the_end_of_the_curve_more() -> None:
    """A bump in the first points moves the fitted end far less than the same bump in the last points."""
    curve = grow(0.7, 8)[:30]
    early, late = curve.copy(), curve.copy()
    early[:5] += 0.08
    late[-5:] += 0.08
    ends = [fit.a * -math.expm1(-fit.b * 30**fit.c) for fit in map(fit_curve, (early.tolist(), late.tolist())) if fit]
    assert abs(ends[0] - curve[-1]) < 0.015 < ends[1] - curve[-1]


def test_fit_skips_absent_epochs_and_keeps_their_place_in_time() -> None:
    """NaN points do not shift the points after them."""
    curve = grow(0.8, 10)[:40]
    curve[[2, 3, 11, 25]] = np.nan
    fit = fit_curve(curve.tolist())
    assert fit is not None
    assert (fit.a, fit.b, fit.c) == pytest.approx((0.8, 0.1, 1.0), abs=1e-3)


def test_fit_of_too_few_points_is_none() -> None:
    """Two points do not make a curve."""
    assert fit_curve([0.1, math.nan, 0.3]) is None


@pytest.mark.parametrize("name", CURVES)
def test_the_six_curves_trigger_and_so_do_they_with_noise(name: str) -> None:
    """Each synthetic curve triggers at its epoch, and with noise of sd .02 near it, for all of 20 seeds."""
    exact, earliest, latest = EXPECTED[name]
    assert detect_onset(CURVES[name].tolist()).epoch == exact
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.02, EPOCHS.size)
        onset = detect_onset((CURVES[name] + noise).tolist()[: latest + 1])
        assert onset.triggered
        assert onset.epoch is not None
        assert earliest <= onset.epoch <= latest


@pytest.mark.parametrize(("time", "epoch"), [(1, 4), (2, 6), (5, 13), (10, 25), (20, 45)])
def test_exponential_curves_trigger_when_theory_says(time: float, epoch: int) -> None:
    """.8 (1 - exp(-e / T)) gives its first positive at 4, 6, 13, 25, 45 and triggers one epoch later."""
    curve = grow(0.8, time).tolist()
    assert detect_onset(curve, consecutive=1).epoch == epoch
    assert detect_onset(curve).epoch == epoch + 1


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ([], "absent from every epoch"),
        ([math.nan] * 50, "absent from every epoch"),
        ([0.0] * 100, "not learnt"),
        (grow(0.04, 3).tolist(), "not learnt"),
        (grow(0.09, 3).tolist(), "hardly learnt: the highest IoU is 0.090"),
        (grow(0.8, 3).tolist()[:3], "3 of 4 points"),
        (grow(0.8, 10).tolist()[:20], "memorisation index 0.8"),
        ((0.006 * EPOCHS).tolist(), "memorisation index"),
    ],
)
def test_what_never_triggers(curve: list[float], reason: str) -> None:
    """Absent, never learnt, hardly learnt, too short, still bending and straight curves do not fire, and say why."""
    onset = detect_onset(curve)
    assert not onset.triggered
    assert onset.epoch is None
    assert reason in onset.reason


def test_noise_around_nothing_does_not_trigger() -> None:
    """A class that is never learnt stays quiet under noise of sd .02."""
    for seed in range(20):
        assert not detect_onset(np.random.default_rng(seed).normal(0, 0.02, 100).tolist()).triggered


def test_one_positive_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two positives must stand in a row; an absent epoch between them does not break the row."""
    answers = iter([0.95, 0.5, 0.95, 0.95])
    monkeypatch.setattr(dynamics.Fit, "index", lambda *_: next(answers))
    curve = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, math.nan, 0.65]
    tracker = ClassOnset()
    assert [tracker.update(iou).triggered for iou in curve] == [False] * 7 + [True]
    assert tracker.onset.epoch == 8


def test_absent_epochs_are_skipped_not_zero() -> None:
    """Every third epoch missing: the class still triggers, near the epoch of the whole curve."""
    curve = grow(0.7, 8)
    curve[::3] = np.nan
    epoch = detect_onset(curve.tolist()).epoch
    assert epoch is not None
    assert 19 <= epoch <= 25


def test_a_class_that_has_triggered_stays_triggered() -> None:
    """A later, straight rise lowers the index again, and the onset stands."""
    onset = detect_onset(np.maximum(grow(0.2, 3), 0.009 * EPOCHS).tolist())
    assert (onset.triggered, onset.epoch, onset.learnt) == (True, 9, 1)
    assert onset.index is not None
    assert onset.index < 0.9
    assert onset.reason == "memorisation began by epoch 9"


def test_time_starts_when_the_class_was_first_learnt() -> None:
    """Thirty epochs at zero delay the onset by about thirty epochs."""
    curve = [0.0] * 30 + grow(0.8, 3).tolist()
    onset = detect_onset(curve)
    assert onset.learnt == 31
    assert onset.epoch == 30 + 9


def test_a_failed_fit_means_not_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the solver gives up the class waits, and the reason says so."""

    def fail(*args: object, **options: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(dynamics, "least_squares", fail)
    onset = detect_onset([0.123, 0.234, 0.345, 0.456, 0.5])
    assert (onset.triggered, onset.fit, onset.index) == (False, None, None)
    assert onset.reason == "the curve could not be fitted"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.5, 15))
def test_epoch_by_epoch_equals_replay(seed: int, time: float) -> None:
    """ClassOnset after n updates is detect_onset of the first n points, and the input is not modified."""
    rng = np.random.default_rng(seed)
    curve = grow(0.7, time)[:25] + rng.normal(0, 0.01, 25)
    curve[rng.random(25) < 0.1] = np.nan
    points = curve.tolist()
    tracker = ClassOnset(Criterion())
    for n, iou in enumerate(points, 1):
        assert tracker.update(iou) == detect_onset(points[:n])
