"""Predictions along the drawn outline: it is moved as a whole, a slice stands for itself, and what is not drawn is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from adelecli.labels.classes import IGNORE
from adelecli.labels.distance import find_rings
from adelecli.labels.outline import FARTHEST, average_rings, choose_best, combine_outline, combine_slices

ROWS, COLUMNS = np.mgrid[:64, :64] - 31.5
RADIUS = np.hypot(ROWS, COLUMNS)


def blur(truth: np.ndarray, rng: np.random.Generator, width: float = 2.0) -> np.ndarray:
    """What an unsure network says of a disc of radius ``truth``: right on average, wrong pixel by pixel."""
    logit = (truth - RADIUS) / width + rng.normal(0, 1.5, RADIUS.shape)
    inside = 1 / (1 + np.exp(-logit))
    return np.stack([1 - inside, inside]).astype(np.float32)


def wrong(labels: np.ndarray, truth: np.ndarray) -> int:
    return int(np.count_nonzero((labels > 0) != truth))


@pytest.mark.parametrize("drawn", [12, 24])
def test_an_outline_drawn_too_small_or_too_large_is_moved_back(drawn: int) -> None:
    """A disc of 18 pixels drawn 6 too small or too large: the pixels that are left wrong are less than half of the network's own."""
    truth = RADIUS < 18
    probabilities = blur(np.float64(18), np.random.default_rng(0))
    labels = (drawn > RADIUS).astype(np.uint8)
    moved, confidence = choose_best(combine_outline(probabilities, labels, 0.75))
    alone = wrong(choose_best(probabilities)[0], truth)
    assert alone > 100
    assert wrong(moved, truth) < 0.5 * alone
    assert wrong(labels, truth) > 500
    assert float(confidence.min()) >= 0.5


def test_an_outline_that_is_right_keeps_what_the_network_would_redraw() -> None:
    """A clean label: the network alone disagrees with many of its pixels, along the outline with few of them."""
    truth = RADIUS < 18
    probabilities = blur(np.float64(18), np.random.default_rng(1))
    moved = choose_best(combine_outline(probabilities, truth.astype(np.uint8), 0.75))[0]
    assert wrong(moved, truth) < 0.4 * wrong(choose_best(probabilities)[0], truth)


def test_rings_are_means_of_equally_far_pixels_that_never_rise_outwards() -> None:
    """A row: three pixels of a class in the middle; the third ring outside says more than the second, so both say their mean."""
    inside = np.array([[False, False, False, True, True, True, False, False, False]])
    probability = np.array([[0.4, 0.1, 0.6, 0.7, 1.0, 0.9, 0.2, 0.1, 0.0]], np.float32)
    expected = [0.15, 0.15, 0.4, 0.8, 1.0, 0.8, 0.4, 0.15, 0.15]
    assert spread(probability, inside, np.ones_like(inside)) == pytest.approx(expected)
    ignored = np.ones_like(inside)
    ignored[0, 0] = False  # then the third ring is 0.0 and the second 0.1
    assert spread(probability, inside, ignored)[6:] == pytest.approx([0.4, 0.1, 0.0])


def spread(probability: np.ndarray, inside: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The averages of the rings, at the pixels of the first row."""
    rings = find_rings(inside, FARTHEST)
    assert rings is not None
    averages = average_rings(probability, rings, valid)
    assert averages is not None
    assert rings.near == (slice(0, 1), slice(0, probability.shape[1]))
    return averages[rings.numbers[0]]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_pixels_far_from_a_border_count_as_one_ring(seed: int, inverted: bool, ignoring: bool) -> None:
    """A small disc, or a hole, in a large picture: means of each ring, counted pixel by pixel over the whole of it."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.uniform(20, 180, 2), rng.uniform(20, 180, 2)
    y, x = np.mgrid[:200, :200]
    inside = (np.hypot(y - rows[0], x - columns[0]) < rng.uniform(2, 15)) ^ inverted
    probability = rng.random((200, 200), np.float32)
    valid = rng.random((200, 200)) < (0.8 if ignoring else 2.0)
    rings = find_rings(inside, FARTHEST)
    assert rings is not None
    averages = average_rings(probability, rings, valid)
    assert averages is not None
    whole = np.full(inside.shape, rings.beyond)
    whole[rings.near] = rings.numbers
    counted = [whole[valid] == ring for ring in range(rings.count)]
    means = [(probability[valid][part].mean(dtype=float), part.sum()) for part in counted if part.any()]
    assert (np.diff(averages) <= 0).all()
    total = sum(mean * count for mean, count in means)  # what least squares under an order keeps
    shown = [ring for ring, part in enumerate(counted) if part.any()]
    kept = sum(averages[ring] * counted[ring].sum() for ring in shown)
    assert kept == pytest.approx(total, rel=1e-5)


def test_the_mixture_is_the_weighted_product_of_both() -> None:
    """One row of background and class, by hand: P**.25 * Q**.75, normalised."""
    labels = np.array([[0, 1, 1, 0]], np.uint8)
    own = np.array([[[0.7, 0.4, 0.2, 0.5]], [[0.3, 0.6, 0.8, 0.5]]], np.float32)
    ringed = np.array([[[0.6, 0.3, 0.3, 0.6]], [[0.4, 0.7, 0.7, 0.4]]])
    expected = own**0.25 * ringed**0.75
    np.testing.assert_allclose(combine_outline(own, labels, 0.75), expected / expected.sum(0), rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.sampled_from([0.25, 0.75, 1.0]))
def test_it_stays_a_distribution_and_reads_only(seed: int, classes: int, weight: float) -> None:
    """Sums of 1, values in 0..1; neither input is modified; a slice without drawing, and weight 0, give the input itself."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 3, (classes, 9, 11)), 0).astype(np.float32)
    labels = rng.integers(0, classes, (9, 11)).astype(np.uint8)
    labels[rng.random((9, 11)) < 0.2] = IGNORE
    before = probabilities.copy(), labels.copy()
    combined = combine_outline(probabilities, labels, weight)
    np.testing.assert_allclose(combined.sum(0), 1, rtol=1e-5)
    assert combined.dtype == np.float32
    assert float(combined.min()) >= 0
    np.testing.assert_array_equal(probabilities, before[0])
    np.testing.assert_array_equal(labels, before[1])
    assert combine_outline(probabilities, labels, 0.0) is probabilities
    assert combine_outline(probabilities, np.zeros_like(labels), weight) is probabilities


def test_a_slice_does_not_depend_on_its_neighbours_nor_on_empty_space_around() -> None:
    """The same slice in another stack, and in a larger frame of background and ignored padding, has the same values."""
    rng = np.random.default_rng(5)
    inside = np.pad(blur(np.float64(10), rng, 1.0)[1, 16:48, 16:48], 8) * np.pad(RADIUS[16:48, 16:48] < 15, 8)
    probabilities = np.stack([1 - inside, inside]).astype(np.float32)
    labels = (np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 12).astype(np.uint8)
    alone = combine_outline(probabilities, labels, 0.75)
    other = np.stack([probabilities[::-1], probabilities])
    np.testing.assert_array_equal(combine_slices(other, np.stack([labels * 0, labels]), 0.75)[1], alone)
    framed = np.pad(probabilities, ((0, 0), (0, 20), (0, 20)), mode="edge")
    drawn = np.pad(labels, (0, 20), constant_values=IGNORE)
    np.testing.assert_array_equal(combine_outline(framed, drawn, 0.75)[:, :48, :48], alone)


def test_what_is_not_finite_stays_so() -> None:
    """The caller refuses a prediction that is not finite; it must not be hidden."""
    probabilities = np.full((2, 4, 4), 0.5, np.float32)
    probabilities[:, 1, 1] = np.nan
    labels = np.zeros((4, 4), np.uint8)
    labels[1:3, 1:3] = 1
    assert np.isnan(combine_outline(probabilities, labels, 0.75)[:, 1, 1]).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_best_class_is_that_of_argmax(seed: int, classes: int) -> None:
    """One slice or several, ties included (the first of them); where a probability is NaN, so is the best."""
    probabilities = np.random.default_rng(seed).integers(0, 4, (2, classes, 3, 4)).astype(np.float32)
    label, best = choose_best(probabilities)
    np.testing.assert_array_equal(label, probabilities.argmax(1))
    np.testing.assert_array_equal(best, probabilities.max(1))
    np.testing.assert_array_equal(choose_best(probabilities[1])[0], label[1])
    probabilities[0, classes - 1, 1, 1] = np.nan
    assert np.isnan(choose_best(probabilities)[1][0, 1, 1])
