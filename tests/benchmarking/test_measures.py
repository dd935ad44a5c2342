"""Every number of the table on an example that can be worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from adelecli.benchmarking import measures


def test_last_five_and_best() -> None:
    """Six epochs: the first is the best and not among the last five; a missing one leaves no mean."""
    series = [0.9, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert measures.find_best(series) == 0.9
    assert measures.average_last(series) == pytest.approx(0.3)
    assert measures.average_last([0.2, 0.4]) == pytest.approx(0.3)
    assert measures.average_last([0.2, None]) is None
    assert measures.average_last([]) is None
    assert measures.find_best([None]) is None


@pytest.mark.parametrize(
    ("method", "noisy", "clean", "share"),
    [(0.7, 0.6, 0.8, 0.5), (0.5, 0.6, 0.8, -0.5), (0.9, 0.6, 0.8, 1.5), (0.7, 0.8, 0.8, None), (None, 0.6, 0.8, None)],
)
def test_the_share_of_the_gap(method: float | None, noisy: float, clean: float, share: float | None) -> None:
    """Halfway is .5, below the noisy training is negative, above the clean one is over 1; without a gap there is none."""
    assert measures.share_gap(method, noisy, clean) == (None if share is None else pytest.approx(share))


def test_when_a_class_was_learnt() -> None:
    """The first epoch at .3 or more; the spread needs every class."""
    assert measures.find_learnt([None, 0.2, 0.3, 0.1]) == 3
    assert measures.find_learnt([0.2]) is None
    assert measures.spread_learnt([3, 1, 6]) == 5
    assert measures.spread_learnt([3, None]) is None


def test_ranks_share_ties() -> None:
    """Two seconds of three are 2.5 each."""
    assert measures.rank_values([5, 1, 5]) == [2.5, 1, 2.5]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_spearman_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    """Ties included; a constant side has no correlation."""
    first, second = ([float(value) for value in side] for side in zip(*pairs, strict=True))
    found = measures.correlate_ranks(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-5)


def test_errors_found_in_the_first_fifth_of_the_queue() -> None:
    """Ten cases, two looked at: those that changed most hold 30 of 100 errors."""
    changed = [0.1, 0.9, 0.2, 0.8] + [0.0] * 6
    errors = [70.0, 10.0, 0.0, 20.0] + [0.0] * 6
    assert measures.share_found(changed, errors) == pytest.approx(0.3)
    assert measures.share_found([0.1], [0.0]) is None


def test_removed_is_relative_to_what_can_be_removed() -> None:
    """A quarter removed where half can be: .5; nothing removable: none; more wrong than before: negative."""
    assert measures.share_removed(0.4, 0.3, 0.5) == pytest.approx(0.5)
    assert measures.share_removed(0.4, 0.5, 0.5) == pytest.approx(-0.5)
    assert measures.share_removed(0.4, 0.3, 0.0) is None
    assert measures.share_removed(0.0, 0.0, 0.5) is None


def test_mean_and_spread_leave_out_what_is_missing() -> None:
    """Of .2, .4 and nothing: mean .3, standard deviation .1414; one value has no spread."""
    assert measures.average_known([0.2, None, 0.4]) == pytest.approx(0.3)
    assert measures.spread_known([0.2, None, 0.4]) == pytest.approx(0.141421)
    assert measures.spread_known([0.2]) is None
    assert measures.find_worst([0.2, None, -0.4]) == -0.4
