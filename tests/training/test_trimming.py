"""The reference code's onset rule: where it fires, where it never does, and that it is a function of the curve so far."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.training.trimming import count_trimmed, detect_trimmed_onset

EPOCHS = np.arange(1, 101, dtype=float)


def grow(height: float, time: float, onset: float = 0.0) -> np.ndarray:
    return height * -np.expm1(-np.clip(EPOCHS - onset, 0, None) / time)


@pytest.mark.parametrize(
    ("curve", "epoch"),
    [
        (grow(0.8, 3), 9), (grow(0.8, 3, 10), 19), (grow(0.8, 1), 5), (grow(0.8, 2), 7), (grow(0.8, 5), 14),
        (grow(0.7, 8), None), (grow(0.6, 20), None), (grow(0.7, 15, 10), None),
        (np.where(EPOCHS < 40, grow(0.55, 5), 0.55 + grow(0.3, 15, 40)), None), (grow(0.8, 10), None),
        (grow(0.8, 20), None), (np.zeros(100), None), (np.full(100, math.nan), None),
    ],
)  # fmt: skip
def test_it_fires_where_the_published_code_does(curve: np.ndarray, epoch: int | None) -> None:
    """The epochs at which the authors' own function fires on the same curves, never on those that rise too slowly."""
    assert detect_trimmed_onset(curve.tolist(), epochs=100).epoch == epoch


def test_trimming_ends_before_the_first_large_rise() -> None:
    """Leading epochs go until the next one is higher by .1; without such a rise only the last epoch is left."""
    assert count_trimmed([0.0, 0.05, 0.1, 0.3, 0.35]) == 2
    assert count_trimmed([0.0, 0.3]) == 0
    assert count_trimmed([0.2, 0.25, 0.29]) == 2
    assert count_trimmed([0.2]) == 0


def test_reasons_say_what_is_missing() -> None:
    """Too few points, a bend to come, and the onset itself."""
    assert "fewer than 3" in detect_trimmed_onset([0.1, 0.3], epochs=100).reason
    assert detect_trimmed_onset(grow(0.8, 5).tolist()[:9], epochs=100).reason == "the fitted curve bends later"
    assert detect_trimmed_onset(grow(0.8, 3).tolist(), epochs=100).reason == "memorisation began by epoch 9"


def test_a_short_run_counts_as_bent_at_its_end() -> None:
    """The code looks no further than the run's last epoch."""
    curve = np.concatenate([[0.0], grow(0.8, 9)])
    curve[1:] += 0.1
    assert detect_trimmed_onset(curve.tolist(), epochs=10).epoch == 11
    assert detect_trimmed_onset(curve.tolist()[:10], epochs=10).epoch is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 6.0))
def test_an_onset_stays(seed: int, time: float) -> None:
    """More epochs never take an onset back, and none fires on a curve without a rise of .1."""
    noise = np.random.default_rng(seed).normal(0, 0.01, 30)
    curve = (grow(0.7, time)[:30] + noise).tolist()
    epoch = detect_trimmed_onset(curve, epochs=30).epoch
    if epoch is not None:
        assert detect_trimmed_onset(curve[:epoch], epochs=30).epoch == epoch
        assert detect_trimmed_onset(curve[: epoch - 1], epochs=30).epoch is None
    flat = (np.asarray(curve) * 0.1).tolist()
    assert detect_trimmed_onset(flat, epochs=30).epoch is None
