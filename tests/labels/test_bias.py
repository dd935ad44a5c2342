"""The signed distance of outlines: known figures, its sign, what does not count, and the difference to trusted cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adelecli.labels.bias import REACH, estimate_bias, find_shifts, measure_offsets, move_outlines
from adelecli.labels.classes import IGNORE


def make_disc(radius: float, size: int = 64, centre: tuple[float, float] = (32, 32)) -> np.ndarray:
    y, x = np.indices((size, size))
    return ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2).astype(np.uint8)[None]


def mean_offset(labels: np.ndarray, prediction: np.ndarray) -> float:
    total, points = measure_offsets(labels, prediction, 2)
    return float(total[0] / points[0])


@pytest.mark.parametrize("extra", [-4, -1, 0, 1, 3, 6])
def test_the_offset_of_two_discs_is_the_difference_of_their_radii(extra: int) -> None:
    """To .4 pixels, for pixels are coarse; positive where the labels are larger."""
    assert mean_offset(make_disc(14 + extra), make_disc(14)) == pytest.approx(extra, abs=0.4)


def test_a_square_a_pixel_too_wide_all_around_is_counted_by_hand() -> None:
    """5 x 5 labels around 3 x 3: 16 and 8 outline pixels, all 1 apart but for the four corners at sqrt 2."""
    labels, prediction = np.zeros((2, 1, 9, 9), np.uint8)
    labels[:, 2:7, 2:7], prediction[:, 3:6, 3:6] = 1, 1
    total, points = measure_offsets(labels, prediction, 2)
    assert points.tolist() == [24]
    assert total[0] == pytest.approx(12 + 4 * 2**0.5 + 8)


def test_a_shift_is_no_bias() -> None:
    """What lies outside on one side lies inside on the other."""
    assert mean_offset(make_disc(12, centre=(32, 34)), make_disc(12)) == pytest.approx(0, abs=1e-9)


def test_what_only_one_of_them_shows_does_not_count() -> None:
    """A slice without the class in one of the two, and a structure far away."""
    nothing = np.zeros_like(make_disc(5))
    total, points = measure_offsets(np.concatenate([make_disc(5), nothing]), np.concatenate([nothing, make_disc(5)]), 2)
    assert (total.tolist(), points.tolist()) == ([0], [0])
    far = np.maximum(make_disc(8, centre=(20, 20)), make_disc(3, centre=(55, 55)))
    assert REACH < 55 - 20 - 8 - 3
    assert mean_offset(far, make_disc(8, centre=(20, 20))) == 0


def test_ignored_pixels_belong_to_neither() -> None:
    """Where half of the picture is ignored, the prediction there is no outline beyond the labels'."""
    labels = make_disc(10)
    labels[:, :, 32:] = IGNORE
    assert mean_offset(labels, make_disc(10)) == 0


pictures = arrays(np.uint8, (2, 7, 8), elements=st.sampled_from([0, 1, 2]))


@settings(deadline=None, max_examples=30)
@given(pictures, pictures)
def test_swapping_labels_and_prediction_turns_the_sign(labels: np.ndarray, prediction: np.ndarray) -> None:
    """Exactly as many pixels count; none is further away than the reach; equal pictures have no offset."""
    total, points = measure_offsets(labels, prediction, 3)
    other, same = measure_offsets(prediction, labels, 3)
    assert total == pytest.approx(-other)
    assert points.tolist() == same.tolist()
    assert (np.abs(total) <= REACH * points).all()
    assert not measure_offsets(labels, labels, 3)[0].any()


def test_the_bias_is_what_the_trusted_cases_do_not_show() -> None:
    """The network itself draws .5 px too small; the labels lie 1.5 px outside it in the others: they are 1 px too large."""
    points = np.full((5, 2), 100)
    total = np.array([[50, 0], [50, 0], [50, 0], [150, 0], [150, -30]], float)
    trusted = np.arange(5) < 3
    assert estimate_bias(total, points, trusted) == pytest.approx((1.0, -0.15))
    assert estimate_bias(total, points, np.arange(5) < 2) == (None, None)
    points[0, 1] = points[3:, 0] = 0  # two trusted cases are too few, and without others there is nothing to tell
    assert estimate_bias(total, points, trusted) == (None, None)


def test_only_a_certain_bias_is_turned_round() -> None:
    """1 px in every case is; the same mean of cases that lie 2 px apart is not, nor is less than half a pixel, nor too few cases."""
    points = np.full((6, 1), 100)
    trusted = np.arange(6) < 3
    sure = np.array([[0], [5], [-5], [100], [95], [105]], float)
    assert find_shifts(sure, points, trusted) == pytest.approx((-1.0,))
    assert find_shifts(-sure, points, trusted) == pytest.approx((1.0,))
    scattered = np.array([[0], [200], [-200], [100], [300], [-100]], float)
    assert estimate_bias(scattered, points, trusted) == pytest.approx((1.0,))
    assert find_shifts(scattered, points, trusted) == (0.0,)
    assert find_shifts(0.4 * sure, points, trusted) == (0.0,)
    assert find_shifts(sure, points, np.arange(6) < 2) == (0.0,)
    assert find_shifts(sure, points, np.arange(6) < 5) == (0.0,)  # one other case has no spread


@pytest.mark.parametrize("shift", [-5.0, -2.0, -1.0, 1.0, 2.0, 5.0])
def test_a_moved_disc_is_a_disc_of_another_radius(shift: float) -> None:
    """All around by the same distance, to the half pixel by which pixels are coarse, and nothing beyond it is touched."""
    moved = move_outlines(make_disc(14), (shift,)) == 1
    expected, before = make_disc(14 + shift) == 1, make_disc(14) == 1
    ring = expected ^ before
    assert np.count_nonzero(moved ^ expected) <= 0.3 * np.count_nonzero(ring)
    assert not (moved ^ before)[~(make_disc(14 + shift + 1) == 1) & ~before].any()


def test_neighbours_keep_their_border_and_what_is_thin_stays() -> None:
    """Two halves of a bar shrink towards the background alone; a line of one pixel does not vanish; ignored pixels stay."""
    labels = np.zeros((1, 12, 20), np.uint8)
    labels[0, 2:8, 2:10], labels[0, 2:8, 10:18], labels[0, 10, 2:18] = 1, 2, 3
    labels[0, 0] = IGNORE
    moved = move_outlines(labels, (-1.0, -1.0, -1.0))[0]
    assert (moved[3:7, 3:10] == 1).all()
    assert (moved[3:7, 10:17] == 2).all()
    assert np.count_nonzero(moved[2:8] == 1) == np.count_nonzero(moved[2:8] == 2) == 28
    assert (moved[10, 2:18] == 3).all()
    assert (moved[0] == IGNORE).all()
    grown = move_outlines(labels, (0.0, 0.0, 5.0))[0]
    assert (grown[2:8, 2:18] == labels[0, 2:8, 2:18]).all()
    assert (grown[9, 2:18] == 3).all()
    assert (grown[0] == IGNORE).all()


@settings(deadline=None, max_examples=30)
@given(pictures, st.tuples(st.floats(-4, 4), st.floats(-4, 4)))
def test_moving_only_exchanges_a_class_with_the_background(labels: np.ndarray, shifts: tuple[float, float]) -> None:
    """Outwards a class only gains, inwards it only loses and never all; without shifts nothing happens; the input stays."""
    kept = labels.copy()
    moved = move_outlines(labels, shifts)
    np.testing.assert_array_equal(labels, kept)
    changed = moved != labels
    assert ((labels[changed] == 0) | (moved[changed] == 0)).all()
    for c, shift in enumerate(shifts, 1):
        lost, won = changed & (labels == c), changed & (moved == c)
        assert not (lost if shift >= 0 else won).any()
        for before, after in zip(labels, moved, strict=True):
            assert (before == c).any() == (after == c).any()
    np.testing.assert_array_equal(move_outlines(labels, (0.0, 0.0)), labels)
