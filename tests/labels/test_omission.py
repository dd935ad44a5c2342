"""A class that a case lacks: restored as a whole when a network is sure of as much as other cases show, else not at all."""

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
    SHARE,
    SURE,
    Restoration,
    count_sure,
    find_omitted,
    find_restored,
    keep_present,
    learn_restoration,
)


def make_tallies(*cases: tuple[int, int, int]) -> np.ndarray:
    """``[cases, 3, 1]`` of one class from (drawn, sure, planes)."""
    return np.array(cases, np.int64)[:, :, None]


def test_sure_pixels_are_counted_where_the_label_is_known() -> None:
    """By hand: class 1 is sure in two slices, class 2 in one; .7 exactly is not sure, and what is ignored does not count."""
    labels = np.array([[[1, 1, 0]], [[0, IGNORE, 2]]], np.uint8)
    prediction = np.array([[[1, 1, 2]], [[1, 1, 2]]], np.uint8)
    confidence = np.array([[[0.9, SURE, 0.8]], [[0.71, 0.9, 0.2]]])
    assert count_sure(labels, prediction, confidence, 3).tolist() == [[2, 1], [2, 1], [2, 1]]


@given(
    arrays(np.uint8, (4, 3, 3), elements=st.sampled_from([0, 1, 2, IGNORE])),
    arrays(np.uint8, (4, 3, 3), elements=st.integers(0, 2)),
    arrays(np.float32, (4, 3, 3), elements=st.floats(0, 1, width=32)),
)
def test_counts_of_slices_add_up(labels, prediction, confidence) -> None:
    """A volume is judged the same in one piece and slice by slice."""
    whole = count_sure(labels, prediction, confidence, 3)
    parts = [count_sure(*one, 3) for one in zip(labels, prediction, confidence, strict=True)]
    np.testing.assert_array_equal(whole, sum(parts))


def test_a_case_that_lacks_what_the_network_plainly_sees_is_found() -> None:
    """Ten cases show 100 sure pixels a slice: 75 in a case that lacks the class are an omission, 74 are not."""
    shown = [(400, 400, 4)] * LEAST_CASES
    tallies = make_tallies(*shown, (0, 150, 2), (0, 148, 2), (0, 0, 0))
    restoration = learn_restoration(tallies, np.array([True]))
    assert restoration.least == (SHARE * 100,)
    assert restoration.classes == {1}
    assert np.flatnonzero(find_omitted(tallies, restoration.least)[:, 0]).tolist() == [LEAST_CASES]
    assert restoration.choose(tallies[LEAST_CASES]) == {1}
    assert restoration.choose(tallies[LEAST_CASES + 1]) == frozenset()


def test_on_a_finer_grid_as_much_must_be_seen() -> None:
    """Twice the pixels along a side are four times the pixels, not a larger organ."""
    restoration = Restoration((75.0,))
    assert restoration.choose(make_tallies((0, 299, 1))[0], scale=2.0) == frozenset()
    assert restoration.choose(make_tallies((0, 300, 1))[0], scale=2.0) == {1}


@pytest.mark.parametrize(
    ("known", "cases"),
    [
        pytest.param(False, [(400, 400, 4)] * LEAST_CASES, id="the networks do not know the class"),
        pytest.param(True, [(400, 400, 4)] * (LEAST_CASES - 1), id="too few cases show it"),
        pytest.param(True, [(400, 0, 0)] * LEAST_CASES, id="the network is never sure of it"),
    ],
)
def test_a_class_of_which_too_little_is_known_is_never_restored(known, cases) -> None:
    """Whatever the network sees where it is not drawn."""
    restoration = learn_restoration(make_tallies(*cases, (0, 900, 2)), np.array([known]))
    assert math.isnan(restoration.least[0])
    assert restoration.classes == frozenset()
    assert restoration.choose(make_tallies((0, 900, 2))[0]) == frozenset()


def test_without_a_case_that_looks_omitted_nothing_is_ever_restored() -> None:
    """Labels that lack nothing give no licence to add anything to those of the next hospital."""
    tallies = make_tallies(*[(400, 400, 4)] * LEAST_CASES, (0, 10, 2))
    assert learn_restoration(tallies, np.array([True])).classes == frozenset()


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
