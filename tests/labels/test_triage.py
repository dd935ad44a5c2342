"""Which cases need a look: the score grows with the disagreement, and each reason says what raised it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.labels.triage import (
    ClassEvidence,
    Evidence,
    count_gap_edges,
    count_jumps,
    find_gaps,
    judge_cases,
    order_cases,
    share_changed,
)

LIVER = ClassEvidence("liver", 100, 100, 0, 0)


def judge(case: Evidence):
    return judge_cases([case])[0]


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 1), st.none() | st.floats(-1, 1))
def test_more_disagreement_never_lowers_a_score(one, other, confidence, jumps) -> None:
    """Whatever else is equal."""
    low, high = (Evidence(disagreement=part, confidence=confidence, jumps=jumps) for part in sorted((one, other)))
    assert judge(low).score <= judge(high).score


def test_disagreement_counts_by_the_mean_confidence_and_jumps_are_added() -> None:
    """.4 at a confidence of .5 counts half; jumps on top; labels smoother than the network's take nothing away."""
    assert judge(Evidence(disagreement=0.4)).score == pytest.approx(0.4)
    assert judge(Evidence(disagreement=0.4, confidence=0.5)).score == pytest.approx(0.2)
    assert judge(Evidence(disagreement=0.4, confidence=0.5, jumps=0.25)).score == pytest.approx(0.45)
    assert judge(Evidence(disagreement=0.4, confidence=0.5, jumps=-0.2)).score == pytest.approx(0.2)
    assert judge(Evidence(jumps=0.2, far_jumps=0.4)).score == pytest.approx(0.3)  # the mean of both
    assert judge(Evidence(jumps=-0.3, far_jumps=0.5)).score == pytest.approx(0.1)
    assert judge(Evidence(far_jumps=0.4)).score == pytest.approx(0.4)  # or the one that is known


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_more_jumps_or_a_surer_network_never_lower_a_score(disagreement, sure, surer, jumps, more) -> None:
    """A score stays within 0..2: two shares."""
    (unsure, sure), (jumps, more) = sorted((sure, surer)), sorted((jumps, more))
    scores = [
        judge(Evidence(disagreement=disagreement, confidence=confidence, jumps=excess)).score
        for confidence, excess in ((unsure, jumps), (unsure, more), (sure, more))
    ]
    assert 0 <= scores[0] <= scores[1] <= scores[2] <= 2


def test_jumps_are_differing_pixels_among_foreground_pixels() -> None:
    """One class turning into another is a jump, too; a slice against itself is none."""
    first, second = np.array([[0, 1, 1, 2]], np.uint8), np.array([[0, 1, 2, 0]], np.uint8)
    assert count_jumps(first, second).tolist() == [2, 3]
    assert count_jumps(first, first).tolist() == [0, 3]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=10))
def test_the_order_is_a_permutation_with_refused_cases_first(drawn) -> None:
    """Then the worst score first; equal scores by id."""
    verdicts = judge_cases([Evidence(changed_share=share, refused=refused) for refused, share in drawn])
    ids = [f"{at:02d}" for at in range(len(drawn))]
    order = order_cases(verdicts, [refused for refused, _ in drawn], ids)
    keys = [(not drawn[at][0], -verdicts[at].score, -drawn[at][1], ids[at]) for at in order]
    assert sorted(order) == list(range(len(drawn)))
    assert keys == sorted(keys)


def test_a_score_without_a_network_is_the_changed_share_of_the_foreground() -> None:
    """100 voxels, 30 added and 10 removed: 40 of the 130 in either."""
    assert share_changed([ClassEvidence("liver", 100, 120, 30, 10)]) == pytest.approx(40 / 130)
    assert judge(Evidence((ClassEvidence("liver", 100, 120, 30, 10),))).score == pytest.approx(40 / 130, abs=1e-6)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Evidence((ClassEvidence("liver", 100, 0, 0, 100),)), "liver vanishes"),
        (Evidence((ClassEvidence("liver", 0, 9, 9, 0),)), "liver appears"),
        (Evidence((ClassEvidence("liver", 100, 80, 0, 20),)), "liver loses 20 %"),
        (Evidence(changed_share=0.7, refused=True), "correction refused: it would have changed 70 % of a class"),
        (Evidence(excess=2.0), "labels disagree 2.0 times as much as honest ones would"),
        (Evidence(jumps=0.2, far_jumps=0.3), "labels jump from slice to slice (25 % more than the network's)"),
        (Evidence(gap_slices=3), "3 slices have no label between labelled ones"),
        (Evidence(confidence=0.5), "the network is unsure (mean confidence 0.50)"),
    ],
)
def test_each_reason_is_told(case, reason) -> None:
    """One at a time."""
    assert judge(case).reasons == (reason,)


def test_a_case_with_nothing_to_say_has_no_reason() -> None:
    """And no score."""
    assert judge(Evidence((LIVER,), confidence=0.9)) == judge_cases([Evidence()])[0]


def test_a_volume_far_from_the_cohorts_raises_the_score() -> None:
    """Nine livers of about 100 voxels and one of 1000; among seven nobody knows what is usual."""
    usual = [Evidence((ClassEvidence("liver", count, count, 0, 0),)) for count in range(96, 105)]
    odd = Evidence((ClassEvidence("liver", 1000, 1000, 0, 0),))
    verdict = judge_cases([*usual, odd])[-1]
    assert verdict.score == pytest.approx(0.5)
    assert verdict.reasons == ("liver: 10 times the usual volume",)
    assert judge_cases([*usual[:6], odd])[-1].score == 0


def test_gaps_between_labelled_slices_are_found_and_wide_ones_are_not() -> None:
    """One slice between areas of 4 and 8 should have had 6; slices before the first and after the last are no gap."""
    assert find_gaps(np.array([0, 4, 0, 8, 0, 0])) == (1, 6.0)
    assert find_gaps(np.array([4, 0, 0, 4])) == (2, 8.0)
    assert find_gaps(np.array([4, 0, 0, 0, 0, 0, 0, 4])) == (0, 0.0)
    assert find_gaps(np.zeros(3, np.int64)) == (0, 0.0)
    assert count_gap_edges(np.array([0, 4, 0, 8, 0, 0])) == 12
    assert count_gap_edges(np.array([4, 0, 0, 0, 0, 0, 0, 4])) == 0


def test_slices_two_from_a_forgotten_one_jump_to_nothing_as_well() -> None:
    """A slice with a forgotten one on both sides counts twice; beyond the ends nothing is forgotten."""
    assert count_gap_edges(np.array([3, 4, 0, 8, 7]), distance=2) == 10
    assert count_gap_edges(np.array([3, 0, 4, 0, 8]), distance=2) == 0  # they lie two from each other
    assert count_gap_edges(np.array([3, 0, 4, 0, 8])) == 19
    assert count_gap_edges(np.array([4, 0]), distance=2) == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 3))
def test_edges_of_gaps_are_the_same_from_either_end(areas, distance) -> None:
    """And without a gap there are none."""
    drawn = np.array(areas, np.int64)
    edges = count_gap_edges(drawn, distance)
    assert edges == count_gap_edges(drawn[::-1], distance)
    assert edges <= 2 * drawn.sum()
    assert count_gap_edges(drawn + 1, distance) == 0
