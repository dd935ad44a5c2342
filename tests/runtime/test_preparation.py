"""Preparation: the numbers that training and inference share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adelecli.errors import CaseError
from adelecli.runtime.contract import Grid, Intensity
from adelecli.runtime.preparation import (
    Normaliser,
    fit_normaliser,
    in_plane_spacing,
    move_axis,
    pad_image,
    plan_size,
    resize_image,
    resize_labels,
    restore_axis,
)

sides = st.integers(1, 40)
CT = Intensity(kind="fixed", clip=(-100.0, 300.0), mean=50.0, std=25.0)
MR = Intensity(kind="volume", percentiles=(5.0, 95.0))


def make_volume(seed: int = 0, shape: tuple[int, ...] = (1, 5, 30, 40)) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 400, shape).astype(np.int16)


def test_a_fixed_channel_is_clipped_then_scaled():
    """A CT window: below, inside and above it, by hand."""
    image = np.array([[[[-1000, 50, 100, 2000]]]], np.int16)
    assert fit_normaliser(image, [CT])(image).tolist() == [[[[-6.0, 0.0, 2.0, 10.0]]]]


def test_a_volume_channel_uses_its_own_percentiles_and_moments():
    """The constants equal numpy's on the clipped volume, and the result has mean 0 and deviation 1."""
    image = make_volume()
    fitted = fit_normaliser(image, [MR])
    low, high = np.percentile(image, (5, 95))
    clipped = np.clip(image.astype(float), low, high)
    assert fitted.windows[0] == pytest.approx((low, high))
    assert fitted.means[0] == pytest.approx(clipped.mean())
    assert fitted.stds[0] == pytest.approx(clipped.std())
    scaled = fitted(image)
    assert scaled.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert scaled.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)


def test_each_channel_has_its_own_constants():
    """Two channels of different kinds are scaled independently."""
    image = np.concatenate([make_volume(1), make_volume(2)])
    both = fit_normaliser(image, [CT, MR])(image)
    np.testing.assert_array_equal(both[:1], fit_normaliser(image[:1], [CT])(image[:1]))
    np.testing.assert_array_equal(both[1:], fit_normaliser(image[1:], [MR])(image[1:]))


def test_a_constant_volume_becomes_zero():
    """A deviation of 0 divides by 1 and not by 0."""
    image = np.full((1, 2, 3, 4), 7, np.uint8)
    assert not fit_normaliser(image, [MR])(image).any()


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8", "<u2", "<f8", "f2"])
def test_byte_order_and_type_do_not_matter(dtype):
    """The same values give the same bits, whatever their type; the result is native, contiguous float32."""
    image = np.abs(make_volume()) % 2048
    expected = fit_normaliser(image, [MR])(image)
    foreign = image.astype(dtype)
    scaled = fit_normaliser(foreign, [MR])(foreign)
    assert scaled.dtype == np.dtype("=f4")
    assert scaled.flags.c_contiguous
    np.testing.assert_array_equal(scaled, expected)


def test_a_slice_is_scaled_as_in_its_volume():
    """The constants belong to the volume, so a slice has the same bits alone."""
    image = make_volume()
    fitted = fit_normaliser(image, [MR])
    np.testing.assert_array_equal(fitted(image[:, 2]), fitted(image)[:, 2])


def test_the_image_is_not_changed():
    """Scaling works on a copy, also when the image is float32 already."""
    image = make_volume().astype(np.float32)
    before = image.copy()
    fit_normaliser(image, [MR])(image)
    np.testing.assert_array_equal(image, before)


def test_values_beyond_float32_are_clipped_to_the_window():
    """A float64 that float32 cannot hold is the window's end, without a warning."""
    image = np.array([[[[1e300, -1e300]]]])
    assert fit_normaliser(image, [CT])(image).tolist() == [[[[10.0, -6.0]]]]


def test_a_wrong_number_of_channels_is_refused():
    """The error tells both numbers."""
    with pytest.raises(CaseError, match=r"has 2 channel\(s\), the model was made for 1"):
        fit_normaliser(np.zeros((2, 1, 1, 1)), [CT])


def test_an_empty_volume_is_refused():
    """Nothing has no percentiles."""
    with pytest.raises(CaseError, match="the image is empty"):
        fit_normaliser(np.zeros((1, 0, 4, 4)), [MR])


@pytest.mark.parametrize(("value", "slices"), [(np.nan, slice(1, 2)), (np.inf, slice(0, 4)), (-np.inf, slice(0, 4))])
def test_constants_that_are_not_finite_are_refused(value, slices):
    """One NaN would make a whole volume NaN, as would many infinities; it is told instead, with its channel."""
    image = make_volume().astype(np.float32)
    image[0, slices] = value
    with pytest.raises(CaseError, match="channel 0 of the image holds values that are not finite"):
        fit_normaliser(image, [MR])


def test_a_normaliser_is_a_plain_record():
    """Its constants can be stored and compared."""
    image = make_volume()
    assert fit_normaliser(image, [CT]) == Normaliser(((-100.0, 300.0),), (50.0,), (25.0,))


@pytest.mark.parametrize(
    ("axis", "shape", "spacing"), [("z", (2, 3, 4), (1.5, 0.5)), ("y", (3, 2, 4), (9, 0.5)), ("x", (4, 2, 3), (9, 1.5))]
)
def test_slices_are_cut_along_the_axis(axis, shape, spacing):
    """The axis comes first, the other two keep their order and their spacing; going back is exact; both are views."""
    volume = np.arange(24).reshape(1, 2, 3, 4)
    slices = move_axis(volume, axis)
    assert slices.shape[1:] == shape
    assert in_plane_spacing((9, 1.5, 0.5), axis) == spacing
    np.testing.assert_array_equal(slices[0, 1], volume[0].take(1, axis="zyx".index(axis)))
    np.testing.assert_array_equal(restore_axis(slices, axis), volume)
    assert np.shares_memory(restore_axis(slices, axis), volume)


@pytest.mark.parametrize(
    ("spacing", "grid", "size"),
    [
        ((0.7, 0.7), Grid(), (100, 60)),
        ((1.0, 2.0), Grid(spacing=(1.0, 1.0)), (100, 120)),
        ((0.5, 0.5), Grid(spacing=(1.0, 2.0)), (50, 15)),
        ((1.0, 1.0), Grid(max_size=100), (100, 60)),
        ((1.0, 1.0), Grid(max_size=50), (50, 30)),
        ((1.0, 1.0), Grid(spacing=(0.5, 0.5), max_size=50), (50, 30)),
        ((1.0, 1.0), Grid(max_size=1), (1, 1)),
        ((1e-9, 1.0), Grid(spacing=(1.0, 1.0)), (1, 60)),
    ],
)
def test_a_size_is_planned(spacing, grid, size):
    """100 x 60 pixels: native, to a spacing, shrunk keeping the aspect, both, and never below one pixel."""
    assert plan_size(100, 60, spacing, grid) == size


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_a_spacing_that_is_none_is_refused(spacing):
    """Resampling needs a positive spacing; without resampling nobody asks for it."""
    with pytest.raises(CaseError, match="is not positive"):
        plan_size(10, 10, spacing, Grid(spacing=(1.0, 1.0)))
    assert plan_size(10, 10, spacing, Grid()) == (10, 10)


def test_a_spacing_that_asks_for_absurd_sizes_is_refused():
    """Metres in a header that means millimetres must not take all the memory."""
    with pytest.raises(CaseError, match="would make slices of 500000 x 500000; correct the spacing"):
        plan_size(500, 500, (1000.0, 1000.0), Grid(spacing=(1.0, 1.0)))


@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides, st.floats(-1e6, 1e6, width=32))
def test_a_constant_stays_that_constant_to_the_bit(height, width, rows, columns, value):
    """Resizing invents no contrast, however the weights are rounded."""
    resized = resize_image(np.full((height, width), value, np.float32), (rows, columns))
    assert resized.shape == (rows, columns)
    assert (resized == np.float32(value)).all()


@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 9))
def test_resizing_agrees_with_pillow(height, width, rows, columns, seed):
    """An independent implementation of the same filter gives the same image, growing and shrinking."""
    image = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    reference = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resize_image(image, (rows, columns)), reference, atol=1e-6)


def test_growing_interpolates_between_pixel_centres():
    """Two pixels to four: the half-pixel rule by hand, with the borders kept."""
    assert resize_image(np.float32([[0, 8]]), (1, 4)).tolist() == [[0.0, 2.0, 6.0, 8.0]]


def test_a_slice_is_resized_as_in_its_batch():
    """A slice has the same bits alone and among others."""
    stack = np.random.default_rng(0).random((3, 4, 37, 29), dtype=np.float32)
    together = resize_image(stack, (50, 13))
    np.testing.assert_array_equal(together[1, 2], resize_image(stack[1, 2], (50, 13)))


def test_the_same_size_returns_the_same_values():
    """Nothing is filtered when nothing is resized."""
    image = make_volume().astype(">f4")
    np.testing.assert_array_equal(resize_image(image, image.shape[-2:]), image)


def test_probabilities_remain_probabilities():
    """Resizing is linear: maps that sum to one still do, within rounding, and stay in their range."""
    weights = np.random.default_rng(0).random((4, 20, 30), dtype=np.float32)
    resized = resize_image(weights / weights.sum(axis=0), (55, 17))
    np.testing.assert_allclose(resized.sum(axis=0), 1, atol=1e-6)
    assert resized.min() >= 0


@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides)
def test_labels_take_the_nearest_pixel(height, width, rows, columns):
    """Each label is the one under the new pixel's centre; no label is invented and the type stays."""
    labels = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    resized = resize_labels(labels, (rows, columns))
    row = [int((i + 0.5) * height / rows) for i in range(rows)]
    column = [int((i + 0.5) * width / columns) for i in range(columns)]
    assert resized.dtype == np.uint16
    np.testing.assert_array_equal(resized, labels[np.ix_(row, column)])


def test_the_canvas_pads_right_and_bottom_by_repetition() -> None:
    """Smaller sides grow by their last row and column; larger ones, and no canvas, change nothing."""
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert pad_image(image, (3, 2)).tolist() == [[[0, 1, 2], [3, 4, 5], [3, 4, 5]]]
    assert pad_image(image, (1, 5)).tolist() == [[[0, 1, 2, 2, 2], [3, 4, 5, 5, 5]]]
    assert np.array_equal(pad_image(image, None), image)
