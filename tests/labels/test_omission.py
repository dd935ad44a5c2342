"""A class that a case lacks: taken for omitted when as much of it is seen as where it is drawn, and restored as a whole or not at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adelecli.labels.classes import IGNORE
from adelecli.labels.omission import (
    LEAST_CASES,
    LEAST_INSIDE,
    MARGIN,
    SHARE,
    Restoration,
    Sight,
    find_box,
    find_omissions,
    find_restored,
    keep_present,
    sum_masses,
    sum_sizes,
    weigh,
)

SIZE, MASS = 100.0, 60.0


def make_sight(*lacking: float, cases: int = LEAST_CASES, inside: float = 0.8) -> Sight:
    """``cases`` with one slice of the class each, 100 pixels and a mass of 60, and cases that lack it, of these masses in one slice."""
    drawn = np.array([[[SIZE], [SIZE**2]]] * cases + [[[0.0], [0.0]]] * len(lacking))
    seen = np.array([[[mass], [mass**2]] for mass in (*[MASS] * cases, *lacking)])
    held = np.array([[True]] * cases + [[False]] * len(lacking))
    return Sight(drawn, seen, inside * seen[:, 0], held)


def test_sizes_and_masses_by_hand() -> None:
    """Class 1 has 2 and 1 pixels in two slices, class 2 none and 3; ignored pixels have no mass."""
    labels = np.array([[[1, 1, 0]], [[1, IGNORE, 2]]], np.uint8)
    assert sum_sizes(np.array([[[1, 1, 0]], [[1, 2, 2]]], np.uint8), 3).tolist() == [[3, 2], [5, 4]]
    assert sum_sizes(labels[0], 3).tolist() == [[2, 0], [4, 0]]
    probabilities = np.zeros((2, 3, 1, 3))
    probabilities[0, 1, 0] = 0.5, 0.25, 0.25
    probabilities[1, 2, 0] = 0.5, 0.9, 0.5
    masses, inside = sum_masses(probabilities, labels)
    assert masses.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert inside.tolist() == [0.75, 0.5]


@given(arrays(np.uint8, (5, 3, 3), elements=st.sampled_from([0, 1, 2, IGNORE])))
def test_slices_add_up(labels) -> None:
    """A volume is judged the same in one piece and slice by slice, to the last bit."""
    np.testing.assert_array_equal(sum_sizes(labels, 3), sum(sum_sizes(one, 3) for one in labels))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_the_weight_lies_between_the_mean_and_the_largest_slice(sizes) -> None:
    """And empty slices do not change it; of nothing it is 0."""
    values = np.array(sizes, np.float64)
    weight = float(weigh(np.array([[values.sum()], [(values**2).sum()]]))[0])
    assert values.mean() * (1 - 1e-12) <= weight <= values.max()
    assert (weight == 0) == (not any(sizes))


def test_stray_pixels_in_many_slices_weigh_nothing() -> None:
    """One slice of 100 and thirty of 3 are an organ of nearly 70 pixels, not of 6."""
    values = np.array([100.0] + [3.0] * 30)
    assert weigh(np.array([[values.sum()], [(values**2).sum()]]))[0] == pytest.approx(10270 / 190)


def test_half_of_what_others_show_is_an_omission() -> None:
    """30 of 60 is one, 29.9 is not; what is given back must be half as large as what is drawn."""
    omitted, restoration = find_omissions(make_sight(30.0, 29.9, 0.0, 61.0))
    assert np.flatnonzero(omitted[:, 0]).tolist() == [LEAST_CASES, LEAST_CASES + 3]
    assert restoration.least == (SHARE * SIZE,)
    assert restoration.classes == {1}


def test_a_case_that_has_the_class_in_another_slice_lacks_nothing() -> None:
    """However much is seen in the slices that were looked at."""
    sight = make_sight(60.0, 60.0)
    sight.held[-1] = True
    assert np.flatnonzero(find_omissions(sight)[0][:, 0]).tolist() == [LEAST_CASES]


@pytest.mark.parametrize(
    "sight",
    [
        pytest.param(make_sight(60.0, cases=LEAST_CASES - 1), id="too few cases show it"),
        pytest.param(make_sight(60.0, inside=LEAST_INSIDE - 0.01), id="the networks do not know where it lies"),
        pytest.param(make_sight(29.0, 3.0), id="no case looks as if it were omitted"),
    ],
)
def test_otherwise_the_class_is_never_restored(sight) -> None:
    """Whatever is seen where it is not drawn; labels that lack nothing give no licence to add anything to others."""
    omitted, restoration = find_omissions(sight)
    assert not omitted.any()
    assert math.isnan(restoration.least[0])
    assert restoration.classes == frozenset()
    assert restoration.choose(np.array([[1e6], [1e12]])) == frozenset()


def test_networks_that_see_nothing_find_nothing() -> None:
    """A mass of 0 is no half of 0."""
    sight = make_sight(0.0)
    sight.seen[:] = 0
    assert not find_omissions(Sight(sight.drawn, sight.seen, sight.inside * 0, sight.held))[0].any()


def test_on_a_finer_grid_as_much_must_be_seen() -> None:
    """Twice the pixels along a side are four times the pixels, not a larger organ."""
    restoration = Restoration((75.0,))
    assert restoration.choose(np.array([[299.0], [299.0**2]]), scale=2.0) == frozenset()
    assert restoration.choose(np.array([[300.0], [300.0**2]]), scale=2.0) == {1}


def test_only_background_takes_a_restored_class_and_only_above_its_tau() -> None:
    """A drawn class, an ignored pixel, a class that is not to be restored and one at tau exactly stay."""
    labels = np.array([[0, 0, 1, IGNORE, 0, 0]], np.uint8)
    prediction = np.array([[2, 2, 2, 2, 1, 0]], np.uint8)
    confidence = np.array([[0.7, 0.6, 0.9, 0.9, 0.9, 0.9]], np.float32)
    added = find_restored(labels, prediction, confidence, (0.6, 0.6, 0.6), frozenset({2}))
    assert added.tolist() == [[2, 0, 0, 0, 0, 0]]
    assert added.dtype == np.uint8


def test_what_a_case_lacks_does_not_judge() -> None:
    """Counts of the classes that are not there become 0, the others stay."""
    counts = np.arange(1, 7).reshape(2, 3)
    assert keep_present(counts, frozenset({0, 1, 3})).tolist() == [[1, 0, 3], [4, 0, 6]]


def test_the_box_holds_the_largest_piece() -> None:
    """By hand: a block seen with .4, stray pixels seen surer elsewhere; wider by the margin, but not beyond the image."""
    seen = np.zeros((4, 20, 30), np.float32)
    seen[1:3, 5:9, 10:16] = 0.4
    seen[0, 18, 28] = 0.6
    seen[3, 0, 0] = 0.29
    assert find_box(seen) == (0, 4, 5 - MARGIN, 9 + MARGIN, 10 - MARGIN, 16 + MARGIN)
