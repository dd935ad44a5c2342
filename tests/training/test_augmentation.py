"""Spatial augmentation: nothing at zero, known values for a flip and a right angle, image and labels always together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from adelecli.labels.classes import IGNORE
from adelecli.training.augmentation import augment_batch, draw_motion, move_slices
from adelecli.training.settings import AugmentSettings

STILL = np.array([[[1.0, 0, 0], [0, 1, 0]]])


def picture(height: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """An image whose values tell its places, and two label maps: one that repeats them, one half ignored."""
    values = torch.arange(height * width).reshape(1, 1, height, width)
    half = torch.where(values % 2 == 0, values, IGNORE)
    return values.float(), torch.cat([values, half], 1).to(torch.uint8)


def test_nothing_is_drawn_and_nothing_moves_at_zero() -> None:
    """All settings 0: no map; the map that does not move gives every value back."""
    rng = np.random.default_rng(0)
    assert draw_motion(AugmentSettings(), 3, rng) is None
    images = np.ones((2, 1, 3, 3), np.float32)
    assert augment_batch(images, AugmentSettings(), rng) is images
    image, labels = picture()
    moved, found = move_slices(image, labels, STILL)
    torch.testing.assert_close(moved, image, atol=1e-4, rtol=0)
    assert torch.equal(found, labels)


def test_a_flip_mirrors_both_axes_of_image_and_labels() -> None:
    """Probability 1: rows and columns run backwards, ignored pixels among them."""
    motion = draw_motion(AugmentSettings(flip=1.0), 1, np.random.default_rng(0))
    assert motion is not None
    image, labels = picture()
    moved, found = move_slices(image, labels, motion)
    torch.testing.assert_close(moved, image.flip(2, 3), atol=1e-4, rtol=0)
    assert torch.equal(found, labels.flip(2, 3))


def test_a_right_angle_is_a_rotation_of_pixels() -> None:
    """A quarter turn of a square is ``rot90``; of a wide slice, its middle square turns and the rest comes from outside: ignored."""
    turn = np.array([[[0.0, 1, 0], [-1, 0, 0]]])
    image, labels = picture(6, 6)
    moved, found = move_slices(image, labels, turn)
    torch.testing.assert_close(moved, image.rot90(-1, (2, 3)), atol=1e-3, rtol=0)
    assert torch.equal(found, labels.rot90(-1, (2, 3)))
    image, labels = picture(4, 8)
    _, found = move_slices(image, labels, turn)
    assert torch.equal(found[..., 2:6], labels[..., 2:6].rot90(-1, (2, 3)))
    assert (found[..., :2] == IGNORE).all()
    assert (found[..., 6:] == IGNORE).all()


def test_what_comes_from_outside_is_ignored_and_repeats_the_edge() -> None:
    """A shift by two columns of eight: two columns of ignore, the image's last column repeated."""
    image, labels = picture()
    moved, found = move_slices(image, labels, np.array([[[1.0, 0, 0.25], [0, 1, 0]]]))
    assert torch.equal(found[..., :6], labels[..., 2:])
    assert (found[..., 6:] == IGNORE).all()
    torch.testing.assert_close(moved[..., 6:], image[..., 7:].expand(1, 1, 6, 2), atol=1e-4, rtol=0)


def test_a_zoom_makes_things_larger_or_smaller_within_its_limit() -> None:
    """Areas of a square under zooms of at most 1.5 lie between 1/2.25 and 2.25 of it, some beyond 1.3 either way."""
    motion = draw_motion(AugmentSettings(scale=0.5), 40, np.random.default_rng(0))
    assert motion is not None
    labels = torch.zeros(40, 1, 60, 60, dtype=torch.uint8)
    labels[..., 20:40, 20:40] = 1
    _, found = move_slices(labels.float(), labels, motion)
    area = (found == 1).sum((1, 2, 3)) / 400
    assert 0.4 < float(area.min()) < 0.75
    assert 1.3 < float(area.max()) < 2.4


@examples(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(8, 16), width=st.integers(8, 16))
def test_image_and_labels_stay_together(seed: int, height: int, width: int) -> None:
    """Far from its boundary a class keeps the grey value that it was painted with, wherever it goes; the same seed moves alike."""
    augment = AugmentSettings(flip=0.5, rotate=30.0, scale=0.2, shift=0.1)
    motions = [draw_motion(augment, 4, np.random.default_rng(seed)) for _ in range(2)]
    assert motions[0] is not None
    assert motions[1] is not None
    np.testing.assert_array_equal(motions[0], motions[1])
    labels = torch.zeros(4, 1, height, width, dtype=torch.uint8)
    labels[..., : height // 2, : width // 2] = 3
    moved, found = move_slices(labels.float(), labels, motions[0])
    painted = (moved - found.float()).abs()
    inside = (found != IGNORE) & ((moved < 1e-4) | (moved > 3 - 1e-4))
    assert float(painted[inside].max()) < 1e-3
    assert float(painted[found != IGNORE].max()) <= 2.25 + 1e-3  # at a corner bilinear is down to a quarter


@pytest.mark.parametrize("name", ["flip", "rotate", "scale", "shift"])
def test_one_setting_does_not_change_the_draws_of_another(name: str) -> None:
    """The turn is the same with and without a shift, and so on: a study that adds one of them compares like with like."""
    alone = AugmentSettings(rotate=10.0) if name != "rotate" else AugmentSettings(shift=0.1)
    values = {"flip": 0.5, "rotate": 10.0, "scale": 0.3, "shift": 0.1}
    both = {"rotate" if name != "rotate" else "shift": 10.0 if name != "rotate" else 0.1} | {name: values[name]}
    first = draw_motion(alone, 5, np.random.default_rng(3))
    second = draw_motion(AugmentSettings(**both), 5, np.random.default_rng(3))
    assert first is not None
    assert second is not None
    if name in {"flip", "scale"}:  # they change the length and the sign of the columns, not the angle
        norms = [np.abs(m[:, 0, 1]) / np.hypot(m[:, 0, 0], m[:, 0, 1]) for m in (first, second)]
        np.testing.assert_allclose(norms[0], norms[1])
    else:
        kept = slice(0, 2) if name == "shift" else slice(2, 3)
        np.testing.assert_array_equal(first[:, :, kept], second[:, :, kept])
