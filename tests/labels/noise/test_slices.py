"""What all families share: shares of slices, coherent cases, untouched ignore."""

from __future__ import annotations

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE
from adelecli.labels.noise.slices import corrupt_slices, find_box, find_labelled_slices, move_class

LABELS = np.ones((200, 3, 3), np.uint8)
LABELS[:, 0, 0] = IGNORE


def erase(plane: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return np.zeros_like(plane)


def stamp(plane: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return np.full_like(plane, draw.integers(1, 100))


def test_a_share_of_the_slices_is_damaged_and_ignore_is_put_back() -> None:
    """Half of 200 slices, give or take; the damaged ones keep their ignored pixel; the input stays."""
    damaged = corrupt_slices(LABELS, np.random.default_rng(0), erase, share=0.5)
    hit = damaged[:, 1, 1] == 0
    assert 80 <= hit.sum() <= 120
    assert (damaged[:, 0, 0] == IGNORE).all()
    assert (damaged[~hit] == LABELS[~hit]).all()
    assert (LABELS[:, 1, 1] == 1).all()


def test_a_coherent_case_is_damaged_alike_or_not_at_all() -> None:
    """One draw for the case: every slice the same, and about half of 60 cases."""
    hit = 0
    for seed in range(60):
        damaged = corrupt_slices(LABELS[:4], np.random.default_rng(seed), stamp, share=0.5, coherent=True)
        assert (damaged == damaged[:1]).all()
        hit += bool(damaged[0, 1, 1] != 1)
    assert 20 <= hit <= 40


def test_slices_draw_anew_unless_coherent() -> None:
    """Without coherence slices differ."""
    damaged = corrupt_slices(LABELS, np.random.default_rng(0), stamp)
    assert len(np.unique(damaged[:, 1, 1])) > 50


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_impossible_shares_are_refused(share: float) -> None:
    """A share lies in 0..1."""
    with pytest.raises(ConfigError, match="share is"):
        corrupt_slices(LABELS, np.random.default_rng(0), erase, share=share)


def test_slices_without_foreground_are_passed_over() -> None:
    """Background and ignore alone are no reason to draw anything."""
    labels = np.zeros((4, 2, 2), np.uint8)
    labels[1, 0, 0], labels[2, 0, 0] = IGNORE, 3
    assert find_labelled_slices(labels) == [2]


def test_box_is_grown_within_the_image() -> None:
    """The margin stops at the border; an empty mask has no box."""
    mask = np.zeros((6, 9), bool)
    assert find_box(mask) is None
    mask[1:3, 7] = True
    assert find_box(mask) == (slice(1, 3), slice(7, 8))
    assert find_box(mask, 2) == (slice(0, 5), slice(5, 9))


def test_a_moved_class_leaves_background_and_overwrites_nothing() -> None:
    """The class goes from its old place to the free part of its new one."""
    labels = np.array([1, 1, 0, 2, 0, 255], np.uint8)
    move_class(labels, labels == 1, np.array([0, 1, 1, 1, 0, 1], bool), 1)
    assert labels.tolist() == [0, 1, 1, 2, 0, 255]
