"""Labels that jump from slice to slice, and from the next but one, more than the network's answer does."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adelecli.labels.classes import IGNORE
from adelecli.pipeline.evidence import JumpCount

FLAT, WIDE = np.array([[1, 0, 0]], np.uint8), np.array([[1, 1, 0]], np.uint8)
VOLUMES = arrays(np.uint8, (5, 1, 3), elements=st.integers(0, 2))


def count(labels, answers, indices=None) -> JumpCount:
    jumps = JumpCount()
    for at in range(len(labels)) if indices is None else indices:
        jumps.add(at, labels[at], answers[at])
    return jumps


def test_pairs_of_which_a_slice_was_not_asked_about_do_not_count() -> None:
    """Two slices that lie three apart say nothing; two that lie two apart tell of far jumps alone."""
    jumps = JumpCount()
    jumps.add(1, FLAT, WIDE)
    jumps.add(4, WIDE, WIDE)
    assert [jumps.measure_excess(distance=distance) for distance in (1, 2)] == [None, None]
    jumps.add(6, FLAT, WIDE)
    assert [jumps.measure_excess(distance=distance) for distance in (1, 2)] == [None, 0.5]  # 1 of 2 pixels against none


def test_two_wrong_slices_in_a_row_are_seen_from_the_next_but_one() -> None:
    """They do not differ from each other; every second slice wrong is the other way round."""
    row = count([FLAT, FLAT, WIDE, WIDE], [WIDE] * 4)
    assert row.measure_excess() == round(1 / 5, 6)  # pairs of 1, 2 and 2 pixels
    assert row.measure_excess(distance=2) == 0.5  # 2 pairs of 2 pixels
    every = count([FLAT, WIDE, FLAT], [WIDE] * 3)
    assert (every.measure_excess(), every.measure_excess(distance=2)) == (0.5, 0.0)


def test_what_the_labels_ignore_counts_as_the_network_says() -> None:
    """So it neither jumps nor hides a jump."""
    ignored = np.array([[1, IGNORE, 0]], np.uint8)
    assert count([WIDE, ignored], [WIDE, WIDE]).measure_excess() == 0
    assert count([FLAT, ignored], [WIDE, WIDE]).measure_excess() == 0.5


def test_pixels_beside_a_forgotten_slice_are_jumps() -> None:
    """Slices 0, 1, 3, 4 are asked about, each of 2 pixels, all alike: 4 beside slice 2, and 4 two from it."""
    jumps, areas = count([WIDE] * 5, [WIDE] * 5, (0, 1, 3, 4)), np.array([2, 2, 0, 2, 2])
    assert [jumps.measure_excess(distance=distance) for distance in (1, 2)] == [0, 0]
    assert jumps.measure_excess(areas) == 0.5  # of 2 pairs of 2 pixels and 4 of edges
    assert jumps.measure_excess(areas, distance=2) == round(4 / 6, 6)  # of 1 pair and 4 of edges


@settings(deadline=None)
@given(VOLUMES, VOLUMES, st.sampled_from([1, 2]))
def test_the_count_is_that_of_all_pairs_of_the_volume(labels, answers, distance) -> None:
    """Held against a count of every pair at once; from the other end it is the same, and against itself nothing is left."""

    def share(volume):
        pairs = [(volume[a], volume[b]) for a, b in combinations(range(5), 2) if b - a == distance]
        held = sum(int(((a > 0) | (b > 0)).sum()) for a, b in pairs)
        return sum(int((a != b).sum()) for a, b in pairs) / held if held else None

    ours, theirs = share(labels), share(answers)
    excess = count(labels, answers).measure_excess(distance=distance)
    assert excess == (None if ours is None or theirs is None else pytest.approx(ours - theirs, abs=1e-6))
    assert count(labels[::-1], answers[::-1]).measure_excess(distance=distance) == excess
    assert count(labels, labels).measure_excess(distance=distance) in {0.0, None}
