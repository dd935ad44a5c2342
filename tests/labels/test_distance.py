"""Distances to a border are the exact Euclidean ones, rounded and clipped: another library's transform is the measure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt, gaussian_filter

from adelecli.labels.distance import MOST, find_box, find_rings, number_rings

Flags = npt.NDArray[np.bool_]


def measure(inside: Flags, farthest: int) -> npt.NDArray[np.float64]:
    """The same from two whole transforms."""
    rings = np.rint(distance_transform_edt(~inside)) - np.rint(distance_transform_edt(inside))
    return np.clip(rings, -farthest, farthest)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24)), st.integers(1, 40))
def test_the_distances_of_any_picture(inside: Flags, farthest: int) -> None:
    """Any pixels, thin or scattered; where one side is empty everything is as far as can be."""
    found = number_rings(inside, farthest)
    if inside.all() or not inside.any():
        assert (found == (-farthest if inside.all() else farthest)).all()
    else:
        assert (found == measure(inside, farthest)).all()


@pytest.mark.parametrize("farthest", [1, 30, MOST])
@pytest.mark.parametrize("smoothness", [1, 12, 60])
def test_the_distances_of_shapes_larger_than_the_reach(farthest: int, smoothness: int) -> None:
    """Blobs of every size in a picture that is wider than it is high, up to the largest squares that the integers hold."""
    noise = np.random.default_rng(smoothness).standard_normal((230, 410))
    inside = gaussian_filter(noise, smoothness) > 0.0
    assert (number_rings(inside, farthest) == measure(inside, farthest)).all()


@settings(deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24)), st.integers(1, 6))
def test_the_rings_of_any_picture_are_those_of_all_its_pixels(inside: Flags, farthest: int) -> None:
    """What lies outside the box that is searched is as far as can be, on the side that the rings say."""
    rings = find_rings(inside, farthest)
    if inside.all() or not inside.any():
        assert rings is None
        return
    assert rings is not None
    found = np.full(inside.shape, rings.beyond)
    found[rings.near] = rings.numbers
    assert rings.count == 2 * farthest + 1
    assert (found == measure(inside, farthest) + farthest).all()


def test_only_the_surroundings_of_the_smaller_side_are_searched() -> None:
    """A spot, or a hole, of 3 x 4 pixels in a picture of 300 x 400, with a reach of 10."""
    spot = np.zeros((300, 400), bool)
    spot[100:103, 200:204] = True
    for inside, beyond in ((spot, 20), (~spot, 0)):
        rings = find_rings(inside, 10)
        assert rings is not None
        assert rings.near == (slice(90, 113), slice(190, 214))
        assert rings.beyond == beyond


def test_a_box_ends_with_the_picture() -> None:
    """The margin goes no further than the picture does; where nothing is, there is no box."""
    found = np.zeros((5, 9), bool)
    assert find_box(found, 1) is None
    found[0, 3] = found[3, 8] = True
    assert find_box(found, 0) == (slice(0, 4), slice(3, 9))
    assert find_box(found, 2) == (slice(0, 5), slice(1, 9))


def test_one_pixel_sees_the_corners_of_a_large_picture() -> None:
    """(3, 4) pixels away is 5 away, above and below, left and right."""
    inside = np.zeros((9, 4_000), bool)
    inside[4, 3_900] = True
    rings = number_rings(inside, 30)
    assert rings[4, 3_900] == -1
    assert [int(rings[4 + dy, 3_900 + dx]) for dy in (-3, 3) for dx in (-4, 4)] == [5] * 4
    assert rings[0, 0] == 30


@pytest.mark.parametrize("farthest", [0, MOST + 1])
def test_a_reach_that_the_integers_do_not_hold_is_refused(farthest: int) -> None:
    """Nothing wraps around."""
    with pytest.raises(ValueError, match="farthest"):
        number_rings(np.zeros((2, 2), bool), farthest)
