"""``affine``: objects move as told, over background only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.noise.affine import Motion, move_mask, move_objects


def make_slice() -> np.ndarray:
    plane = np.zeros((60, 80), np.uint8)
    plane[20:40, 15:35], plane[22:38, 40:60] = 1, 2
    return plane


def test_a_shift_is_a_share_of_the_objects_size() -> None:
    """A square of side 20 shifted by (.1, -.2) of its size moves 2 down and 4 to the left."""
    mask = make_slice() == 1
    moved = move_mask(mask, Motion(0.0, (0.1, -0.2), 1.0))
    np.testing.assert_array_equal(moved, np.roll(mask, (2, -4), (0, 1)))


def test_a_quarter_turn_and_a_change_of_size() -> None:
    """A bar of 6 x 18 turned by 90 degrees is 18 x 6; at 1.5 times the size a square of 12 is one of 18."""
    mask = np.zeros((41, 41), bool)
    mask[18:24, 12:30] = True
    turned = np.argwhere(move_mask(mask, Motion(math.pi / 2, (0.0, 0.0), 1.0)))
    assert (np.ptp(turned, axis=0) + 1).tolist() == [18, 6]
    square = np.zeros((41, 41), bool)
    square[14:26, 14:26] = True
    grown = np.argwhere(move_mask(square, Motion(0.0, (0.0, 0.0), 1.5)))
    assert (np.ptp(grown, axis=0) + 1).tolist() == [18, 18]


def test_no_motion_changes_nothing() -> None:
    """With angle and amount 0 the labels come out as they went in."""
    labels = make_slice()[None]
    np.testing.assert_array_equal(move_objects(labels, np.random.default_rng(0), (1, 2), angle=0, amount=0), labels)


def test_objects_keep_their_size_and_never_overwrite_each_other() -> None:
    """Over 40 slices sizes stay within the largest change, and class 3 in the way is never touched."""
    plane = make_slice()
    plane[18:42, 36:39] = 3
    labels = np.repeat(plane[None], 40, 0)
    moved = move_objects(labels, np.random.default_rng(0), (1, 2), amount=0.1)
    np.testing.assert_array_equal(moved == 3, labels == 3)
    sizes = (moved == 1).sum((1, 2))
    assert sizes.max() <= 400 * 1.1**2 * 1.03
    assert sizes.min() >= 400 * 0.9**2 * 0.75
    assert len(np.unique(sizes)) > 10


def test_coherent_draws_are_the_same_when_a_class_is_missing() -> None:
    """Class 2 moves alike in a slice with and in a slice without class 1."""
    plane = make_slice()
    alone = np.where(plane == 2, plane, 0).astype(np.uint8)
    moved = move_objects(np.stack([plane, alone]), np.random.default_rng(5), (1, 2), amount=0.05, coherent=True)
    np.testing.assert_array_equal(moved[0] == 2, moved[1] == 2)


@pytest.mark.parametrize("options", [{"angle": -1.0}, {"amount": -0.1}, {"amount": 1.0}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    """An object cannot shrink to nothing."""
    with pytest.raises(ConfigError, match="choose 0 or more"):
        move_objects(make_slice()[None], np.random.default_rng(0), (1,), **options)
