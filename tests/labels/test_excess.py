"""The noise estimate: clean labels count as clean, noise is measured, cases are told apart, all from counts alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import JITTER, POWER, VARIANCE, Counts, Gate, count_overlap, estimate_noise

PIXELS = 10_000


def make_counts(disagreement, network, outline=0.3):
    """Cases ``[n, K - 1]`` of 10,000 pixels each with these shares; ``outline`` is B."""
    disagreement, network = np.atleast_2d(disagreement), np.atleast_2d(network)
    whole = np.full(disagreement.shape, PIXELS, np.int64)
    edges = np.full(disagreement.shape, round(outline * PIXELS * 4 / math.pi), np.int64)
    agreed, shared = (np.rint(PIXELS * (1 - part)).astype(np.int64) for part in (disagreement, network))
    return Counts(agreed, whole, shared, whole, whole, edges)


def expect(network, outline=0.3):
    return math.sqrt(VARIANCE * network**2 + (JITTER * outline) ** 2)


def draw(centre, spread, count, seed):
    return np.clip(np.random.default_rng(seed).normal(centre, spread, (count, 2)), 0, 1)


def test_the_overlap_of_a_small_picture_is_counted_by_hand():
    labels = np.array([[0, 1, 1, 0], [0, 1, IGNORE, 2]], np.uint8)
    prediction = np.array([[0, 1, 0, 0], [1, 1, 1, 2]], np.uint8)
    agreed, seen, area, edges = count_overlap(labels, prediction, 3)
    assert agreed.tolist() == [2, 1]
    assert seen.tolist() == [4, 1]  # the prediction under the ignored pixel does not count
    assert area.tolist() == [3 + 3, 1 + 1]  # of both, without the prediction under the ignored pixel
    assert edges.tolist() == [5 + 4, 2 + 2]


def test_labels_that_disagree_as_honest_ones_would_are_clean():
    d0 = expect(0.14)
    noise = estimate_noise(make_counts(draw(d0, 0.2 * d0, 150, 1), draw(0.14, 0.02, 150, 2)))
    assert [entry.error for entry in noise.classes] == [0, 0]
    assert noise.gate is None
    assert not any(entry.noisy for entry in noise.classes)


def test_the_error_is_the_excess_in_the_stated_power():
    noise = estimate_noise(make_counts([[0.45, 0.45]] * 40, [[0.15, 0.15]] * 40))
    expected = expect(0.15)
    for entry in noise.classes:
        assert entry.expected == pytest.approx(expected, rel=1e-3)
        assert entry.error == pytest.approx((0.45**POWER - expected**POWER) ** (1 / POWER), abs=2e-3)
        assert entry.low == pytest.approx(entry.error, abs=1e-9)  # equal cases leave nothing to resample
    assert noise.clean_share == 0
    assert noise.threshold == pytest.approx(1)


def test_a_mixture_is_told_apart_and_its_error_is_the_noisy_share():
    d0 = expect(0.14)
    clean, noisy = draw(d0, 0.2 * d0, 100, 3), draw(0.45, 0.07, 100, 4)
    noise = estimate_noise(make_counts(np.concatenate([clean, noisy]), np.full((200, 2), 0.14)))
    excess = np.array(noise.excess)
    assert noise.clean_share == pytest.approx(0.5, abs=0.12)
    assert np.mean(excess[:100] >= noise.threshold) < 0.05
    assert np.mean(excess[100:] >= noise.threshold) > 0.9
    whole = estimate_noise(make_counts(noisy, np.full((100, 2), 0.14)))
    assert noise.classes[0].error == pytest.approx(whole.classes[0].error / 2, abs=0.05)


def test_a_class_without_excess_neither_changes_nor_judges():
    counts = make_counts([[0.45, 0.2]] * 30, [[0.15, 0.15]] * 30)
    noise = estimate_noise(counts)
    assert noise.classes[0].noisy
    assert not noise.classes[1].noisy
    assert noise.gate is not None
    assert math.isnan(noise.gate.network[1])
    assert noise.excess[0] == pytest.approx(0.45 / expect(0.15), rel=1e-3)


def test_the_gate_reads_a_case_as_the_estimate_did_on_any_grid():
    rng = np.random.default_rng(0)
    labels, prediction = np.zeros((2, 4, 32, 32), np.uint8)
    labels[:, 8:24, 8:24], prediction[:, 10:28, 8:24] = 1, 1
    gate = Gate((0.1,), 1.2)
    expected = math.sqrt(VARIANCE * 0.01 + (JITTER * (64 + 68) / (256 + 288) * math.pi / 4) ** 2)
    counts = gate.count(labels, prediction)
    assert gate.excess(counts) == pytest.approx((1 - 14 / 20) / expected)
    doubled = gate.count(*(np.repeat(np.repeat(a, 2, -1), 2, -2) for a in (labels, prediction)))
    assert gate.excess(doubled, scale=2.0) == pytest.approx(gate.excess(counts))
    assert np.array_equal(sum(gate.count(one, other) for one, other in zip(labels, prediction, strict=True)), counts)
    assert gate.admits(counts)
    assert not gate.admits(gate.count(labels, labels))
    assert not Gate((math.nan,), 0.0).admits(gate.count(labels, rng.integers(0, 2, labels.shape).astype(np.uint8)))


def test_a_class_that_no_case_shows_is_clean():
    zeros = np.zeros((5, 1), np.int64)
    noise = estimate_noise(Counts(zeros, zeros, zeros, zeros, zeros, zeros))
    assert noise.gate is None
    assert noise.classes[0].error == 0
    assert math.isnan(noise.classes[0].disagreement)


def test_one_case_is_too_few_to_speak_against_it():
    assert estimate_noise(make_counts([[0.6, 0.6]], [[0.1, 0.1]])).gate is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=15))
def test_whatever_the_counts_the_estimate_lies_between_0_and_the_disagreement(pairs):
    counts = make_counts([[a, a] for a, _ in pairs], [[b, b] for _, b in pairs])
    noise = estimate_noise(counts, rounds=10)
    assert 0 <= noise.clean_share <= 1
    for entry in noise.classes:
        assert 0 <= entry.error <= 1
        assert entry.low <= entry.high + 1e-12
    assert noise.threshold is None or noise.threshold >= 1


def test_the_same_counts_give_the_same_estimate():
    counts = make_counts(draw(0.4, 0.1, 30, 7), draw(0.15, 0.03, 30, 8))
    assert estimate_noise(counts, seed=3) == estimate_noise(counts, seed=3)


def test_networks_that_did_not_learn_a_class_say_nothing_of_its_labels():
    """Just as excessive, but the networks disagree by more than .4: not judged, not noisy."""
    noise = estimate_noise(make_counts([[0.9, 0.9]] * 30, [[0.39, 0.41]] * 30))
    assert [entry.judged for entry in noise.classes] == [True, False]
    assert [entry.noisy for entry in noise.classes] == [True, False]
    assert noise.noisy_classes == frozenset({1})
