"""The noise estimate: clean labels count as clean, noise is measured, cases are told apart, all from counts alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import LEAST_FACTOR, LEAST_TRUSTED, POWER, Counts, estimate_noise
from adelecli.labels.gate import JITTER, VARIANCE, Gate, count_overlap

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
    counts = make_counts([[0.45, 0.17]] * 30, [[0.15, 0.15]] * 30)
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


def mark(count, total):
    return np.arange(total) < count


def test_trusted_cases_say_what_honest_disagreement_is():
    """They disagree 1.5 times more than expected: so do honest labels, and the others' excess is that much smaller."""
    d0 = expect(0.15)
    counts = make_counts([[1.5 * d0] * 2] * 4 + [[0.6] * 2] * 30, [[0.15] * 2] * 34)
    noise, alone = estimate_noise(counts, trusted=mark(4, 34)), estimate_noise(counts.pick(~mark(4, 34)))
    for entry, before in zip(noise.classes, alone.classes, strict=True):
        assert (before.factor, entry.factor) == (1.0, pytest.approx(1.5, rel=1e-3))
        assert entry.expected == pytest.approx(1.5 * before.expected, rel=1e-3)
        assert entry.error == pytest.approx((0.6**POWER - (1.5 * d0) ** POWER) ** (1 / POWER), abs=2e-3)
    assert noise.excess == pytest.approx(np.array(alone.excess) / 1.5, rel=1e-3)
    assert len(noise.excess) == 30


def test_a_disagreement_that_trusted_cases_share_speaks_against_nobody():
    counts = make_counts(draw(0.4, 0.05, 120, 3), draw(0.14, 0.02, 120, 4))
    assert estimate_noise(counts).gate is not None
    assert estimate_noise(counts, trusted=mark(20, 120)).gate is None


def test_clean_looking_labels_are_noisy_where_trusted_ones_agree_better():
    """Labels that disagree as expected, beside trusted ones that disagree half as much."""
    d0 = expect(0.15)
    counts = make_counts([[0.5 * d0] * 2] * 5 + [[d0] * 2] * 30, [[0.15] * 2] * 35)
    assert estimate_noise(counts).gate is None
    noise = estimate_noise(counts, trusted=mark(5, 35))
    assert noise.noisy_classes == {1, 2}
    assert noise.clean_share == 0


def test_a_class_that_few_trusted_cases_show_takes_the_mean_of_the_classes():
    d0 = expect(0.15)
    counts = make_counts([[1.5 * d0, 0.5 * d0]] * 3 + [[0.6, 0.6]] * 20, [[0.15, 0.15]] * 23)
    for name in ("agreed", "seen", "shared", "shown", "area", "edges"):
        getattr(counts, name)[:1, 1] = 0  # the second class is not there in one of the three
    first, second = estimate_noise(counts, trusted=mark(3, 23)).classes
    assert (first.factor, second.factor) == (pytest.approx(1.5, rel=1e-3), pytest.approx(1.0, rel=1e-3))


def test_trusted_cases_that_agree_perfectly_do_not_condemn_the_others_to_infinity():
    noise = estimate_noise(make_counts([[0.0] * 2] * 3 + [[0.3] * 2] * 20, [[0.15] * 2] * 23), trusted=mark(3, 23))
    assert [entry.factor for entry in noise.classes] == [LEAST_FACTOR] * 2
    assert noise.excess[0] == pytest.approx(0.3 / (LEAST_FACTOR * expect(0.15)), rel=1e-3)


def test_the_gate_carries_the_calibration():
    """A case outside the data set is judged by the factors, as those within it were."""
    counts = make_counts([[0.3, 0.4]] * 4 + [[0.7, 0.7]] * 20, [[0.15, 0.15]] * 24)
    noise = estimate_noise(counts, trusted=mark(4, 24))
    assert noise.gate is not None
    assert noise.gate.factor == tuple(entry.factor for entry in noise.classes)
    case = np.array([getattr(counts, name)[-1] for name in ("agreed", "seen", "area", "edges")])
    assert noise.gate.excess(case) == pytest.approx(noise.excess[-1], rel=1e-3)
    plain = Gate(noise.gate.network, noise.gate.threshold)
    assert plain.excess(case) == pytest.approx(np.mean(0.7 / expect(0.15)), rel=1e-3)
    assert Gate(noise.gate.network, noise.gate.threshold, (1.0, 1.0)).excess(case) == plain.excess(case)


shares = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(deadline=None, max_examples=30)
@given(st.lists(shares, min_size=0, max_size=6), st.lists(shares, min_size=1, max_size=12), st.randoms())
def test_trusted_cases_calibrate_and_nothing_else(known, others, random):
    """Their order does not matter, they are never judged, and fewer than three are as good as none."""
    order = list(range(len(known)))
    random.shuffle(order)
    tables = [[*some, *others] for some in (known, [known[i] for i in order])]
    counts = [make_counts([[a, a] for a, _ in table], [[b, b] for _, b in table]) for table in tables]
    trusted = mark(len(known), len(known) + len(others))
    noise, shuffled = (estimate_noise(each, trusted=trusted, rounds=5) for each in counts)
    assert repr(noise) == repr(shuffled)
    assert len(noise.excess) == len(others)
    assert all(entry.factor >= LEAST_FACTOR for entry in noise.classes)
    if len(known) < LEAST_TRUSTED:
        assert repr(noise) == repr(estimate_noise(counts[0].pick(~trusted), rounds=5))


@settings(deadline=None, max_examples=40)
@given(shares, st.integers(3, 6), st.integers(2, 12))
def test_labels_like_the_trusted_ones_are_clean(share, known, others):
    """Whatever they and the network disagree by."""
    total = known + others
    counts = make_counts([[share[0]] * 2] * total, [[share[1]] * 2] * total)
    assert estimate_noise(counts, trusted=mark(known, total), rounds=5).gate is None
