"""Overlays show every wrong pixel and no other, and choose their slices without looking at the result."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from adelecli.showcase.phantom import CLASS_NAMES, make_case
from adelecli.showcase.pictures import View, choose_slice, draw_overlays


def read_pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count_reddish(pixels):
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return int(((red > 130) & (red > 1.9 * green) & (blue < green)).sum())


@pytest.fixture(scope="module")
def view():
    image, true, spacing = make_case(0, 0)
    z = 4
    noisy = true[z].copy()
    noisy[:, ::3] = 0
    return View("case_000, slice 5", image[z], noisy, true[z], true[z], spacing[1:])


def test_wrong_pixels_are_filled_where_they_are(view, tmp_path):
    """The noisy panel is full of the colour of mistakes; the panel of right labels and the truth have none."""
    pixels = read_pixels(draw_overlays(tmp_path / "a.png", [view], CLASS_NAMES))
    height, width = pixels.shape[:2]
    thirds = [count_reddish(pixels[: int(height * 0.86), i * width // 3 : (i + 1) * width // 3]) for i in range(3)]
    assert thirds[0] > 2000
    assert thirds[1:] == [0, 0]


def test_outlines_of_all_present_organs_are_drawn(view, tmp_path):
    """Each organ's colour stands in the truth's panel as often as an outline needs."""
    pixels = read_pixels(draw_overlays(tmp_path / "a.png", [view], CLASS_NAMES))
    panel = pixels[: int(len(pixels) * 0.86), pixels.shape[1] * 2 // 3 :]
    yellow, blue, pink = (
        (np.abs(panel - colour).max(axis=-1) < 12).sum() for colour in ((240, 228, 66), (86, 180, 233), (242, 154, 200))
    )
    assert yellow > 40
    assert blue > 300
    assert pink > 40


def test_the_picture_is_large_and_has_one_row_per_view(view, tmp_path):
    """Two views make a picture about twice as high as one; both are wide enough to read."""
    one = read_pixels(draw_overlays(tmp_path / "one.png", [view], CLASS_NAMES))
    two = read_pixels(draw_overlays(tmp_path / "two.png", [view, view], CLASS_NAMES))
    assert one.shape[1] == two.shape[1] >= 1000
    assert 1.5 < len(two) / len(one) < 2
    assert one.std() > 30


def test_a_view_without_labels_can_be_drawn(view, tmp_path):
    """Nothing labelled means nothing to crop to: the whole slice is shown."""
    empty = np.zeros_like(view.true)
    pixels = read_pixels(draw_overlays(tmp_path / "a.png", [View("x", view.image, empty, empty, empty)], CLASS_NAMES))
    assert pixels.std() > 20
    assert count_reddish(pixels[: int(len(pixels) * 0.8)]) == 0


def test_the_slice_with_most_mistakes_of_its_part_is_chosen():
    """Among the labelled slices of the asked part, the one whose given labels are worst; the corrected ones are never asked."""
    true = np.zeros((9, 4, 4), np.uint8)
    true[1:7, 1:3, 1:3] = 1
    noisy = true.copy()
    noisy[2, 1, 1] = 0
    noisy[5, 1:3, 1] = 0
    noisy[8] = 1
    assert choose_slice(noisy, true) == 5
    assert choose_slice(noisy, true, (0, 2)) == 2
    assert choose_slice(noisy, true, (1, 2)) == 5
    assert choose_slice(noisy, np.zeros_like(true)) == 0
    assert choose_slice(noisy, true, (8, 9)) in range(9)
