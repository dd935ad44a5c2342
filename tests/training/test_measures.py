"""Pooled counts: the curve of an epoch and its learning dynamics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adelecli.training.measures import EpochTallies, Tally, curve_points

CPU = torch.device("cpu")


def test_counts_are_pooled_before_any_ratio() -> None:
    """IoU of two batches together, not the mean of their IoUs; ignored pixels do not count."""
    tally = Tally(3, CPU)
    tally.add(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 0, 255]))
    tally.add(torch.tensor([1, 1, 1, 0]), torch.tensor([1, 1, 1, 1]))
    assert tally.confusion().tolist() == [[1, 1, 0], [1, 4, 0], [0, 0, 0]]
    assert curve_points(tally.confusion())[:2] == [pytest.approx(1 / 3), pytest.approx(4 / 6)]


def test_an_absent_class_has_no_point() -> None:
    """A class that the epoch's labels do not hold gives None, never 0, even where it is predicted."""
    tally = Tally(3, CPU)
    tally.add(torch.tensor([2, 1]), torch.tensor([1, 1]))
    assert curve_points(tally.confusion()) == [None, pytest.approx(0.5), None]


def test_dynamics_look_at_wrong_pixels_only() -> None:
    """IoU_el against the clean and IoU_m against the noisy labels, where the two differ (algorithm section 2)."""
    tallies = EpochTallies(2, CPU)
    logits = torch.tensor([[5.0, -5.0], [5.0, -5.0], [-5.0, 5.0], [5.0, -5.0]]).T.reshape(1, 2, 1, 4)
    noisy, clean = torch.tensor([[[1, 1, 1, 0]]]), torch.tensor([[[0, 0, 0, 0]]])
    tallies.add(logits, noisy, clean)
    assert tallies.dynamics()["early"] == [pytest.approx(2 / 3), None]
    assert tallies.dynamics()["memorised"] == [None, pytest.approx(1 / 3)]
    assert np.array_equal(tallies.curve.confusion(), [[1, 0], [2, 1]])


def test_without_clean_labels_there_are_no_dynamics() -> None:
    """Nothing is invented."""
    tallies = EpochTallies(2, CPU)
    tallies.add(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long), None)
    assert tallies.dynamics() == {}
