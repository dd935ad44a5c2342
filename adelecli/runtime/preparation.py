"""How an image becomes network input, and how a result finds its way back to the image's grid.

Training and inference must see the same numbers, so both import this module; it needs numpy alone. What must hold:
every function works on values, whatever the byte order or strides of the input; constants of the intensity scaling are
per volume and not per slice; resizing treats each slice by itself with elementwise arithmetic (no matrix product, whose
summation order depends on the machine), so a slice gives the same bits alone and in a batch, and a constant stays that
constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from adelecli.errors import CaseError
from adelecli.runtime.statistics import measure_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from adelecli.runtime.contract import Axis, Grid, Intensity

MAX_PIXELS = 1 << 26
"""Largest slice that resampling may make; a wrong spacing in a header could otherwise ask for any amount of memory."""

COPIED_VOXELS = 1 << 26
"""Channels up to this size are copied as float32 to find their constants; larger ones are read slab by slab, several times."""

Scalar = TypeVar("Scalar", bound=np.generic)

_POSITION = {"z": -3, "y": -2, "x": -1}


@dataclass(frozen=True)
class Normaliser:
    """The intensity scaling of one volume, with its constants fixed: one entry per channel.

    ``windows``: clip to (low, high) or ``None``; then subtract ``means`` and divide by ``stds``.
    """

    windows: tuple[tuple[float, float] | None, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Scale ``image`` [C, ...] (any numeric dtype, any part of the volume) to a new C-contiguous float32 array."""
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the window clips
            scaled = np.array(image, dtype=np.float32, order="C")
        for i, (window, mean, std) in enumerate(zip(self.windows, self.means, self.stds, strict=True)):
            if window is not None:
                np.clip(scaled[i], *window, out=scaled[i])
            scaled[i] -= np.float32(mean)
            scaled[i] /= np.float32(std)
        return scaled


def fit_normaliser(image: NDArray[np.generic], channels: Sequence[Intensity]) -> Normaliser:
    """Find the constants that scale the volume ``image`` [C, Z, Y, X] as ``channels`` say.

    Raises CaseError when the image is empty, when its number of channels differs, or when a channel's constants would
    not be finite.
    """
    if len(image) != len(channels):
        raise CaseError(f"the image has {len(image)} channel(s), the model was made for {len(channels)}")
    if image.size == 0:
        raise CaseError(f"the image is empty {image.shape}")
    fits = [_fit_channel(channel, intensity) for channel, intensity in zip(image, channels, strict=True)]
    for i, (_, mean, std) in enumerate(fits):
        if not (math.isfinite(mean) and math.isfinite(std)):
            raise CaseError(f"channel {i} of the image holds values that are not finite")
    windows, means, stds = zip(*fits, strict=True)
    return Normaliser(windows, means, stds)


def _fit_channel(channel: NDArray[np.generic], intensity: Intensity) -> tuple[tuple[float, float] | None, float, float]:
    if intensity.kind == "fixed":
        return intensity.clip, intensity.mean, intensity.std
    if channel.size > COPIED_VOXELS:
        low, high, mean, std = measure_channel(channel, intensity.percentiles)
        return (low, high), mean, std or 1.0
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        values = np.array(channel, dtype=np.float32).ravel()
        low, high = (float(v) for v in np.percentile(values, intensity.percentiles, overwrite_input=True))
    if not (math.isfinite(low) and math.isfinite(high)):
        return None, math.nan, math.nan
    np.clip(values, low, high, out=values)
    mean = float(values.mean(dtype=np.float64))
    # squares of the deviations, in parts: one float64 copy of a large volume would double the memory that it needs
    parts = np.array_split(values, max(1, values.size >> 20))
    std = math.sqrt(sum(float(np.square(part - mean, dtype=np.float64).sum()) for part in parts) / values.size)
    return (low, high), mean, std or 1.0


def move_axis(volume: NDArray[Scalar], axis: Axis) -> NDArray[Scalar]:
    """View ``volume`` [..., Z, Y, X] as slices [..., S, H, W] cut along ``axis``; the other two keep their order."""
    return np.moveaxis(volume, _POSITION[axis], -3)


def restore_axis(slices: NDArray[Scalar], axis: Axis) -> NDArray[Scalar]:
    """View slices [..., S, H, W] cut along ``axis`` as the volume [..., Z, Y, X]: the inverse of `move_axis`."""
    return np.moveaxis(slices, -3, _POSITION[axis])


def in_plane_spacing(spacing: tuple[float, float, float], axis: Axis) -> tuple[float, float]:
    """The (row, column) spacing of the slices cut along ``axis``, from the volume's (z, y, x) spacing."""
    row, column = (value for name, value in zip("zyx", spacing, strict=True) if name != axis)
    return row, column


def plan_size(height: int, width: int, spacing: tuple[float, float], grid: Grid) -> tuple[int, int]:
    """The (rows, columns) at which the network sees a slice of this size and in-plane spacing (row, column).

    First to the grid's spacing, then shrunk to its longest side; rounded once, at least 1.
    Raises CaseError for a spacing that is not positive, or that asks for more than `MAX_PIXELS`.
    """
    rows, columns = float(height), float(width)
    if grid.spacing is not None:
        if not all(math.isfinite(value) and value > 0 for value in spacing):
            raise CaseError(f"the in-plane spacing {spacing[0]:g} x {spacing[1]:g} mm is not positive")
        rows, columns = rows * spacing[0] / grid.spacing[0], columns * spacing[1] / grid.spacing[1]
    if grid.max_size is not None and max(rows, columns) > grid.max_size:
        factor = grid.max_size / max(rows, columns)
        rows, columns = rows * factor, columns * factor
    if rows * columns > max(MAX_PIXELS, height * width):
        fact = f"resampling from {spacing[0]:g} x {spacing[1]:g} mm would make slices of {rows:.0f} x {columns:.0f}"
        raise CaseError(fact, remedy="correct the spacing in its header")
    return max(1, math.floor(rows + 0.5)), max(1, math.floor(columns + 0.5))


def resize_image(image: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample ``image`` [..., H, W] to [..., size]: float32, bilinear, half-pixel centres, antialiased when shrinking.

    The filter is the triangle of Pillow's ``BILINEAR`` (and torch's ``antialias=True``); values leave the range of the
    input by no more than rounding, and the same size returns the same values (perhaps the same array).
    """
    resized = np.ascontiguousarray(image, dtype=np.float32)
    for axis, length in zip((-2, -1), size, strict=True):
        if resized.shape[axis] != length:
            resized = _resample(resized, axis, length)
    return resized


def pad_image(image: NDArray[np.float32], canvas: tuple[int, int] | None) -> NDArray[np.float32]:
    """Pad ``image`` [..., H, W] right and bottom by repetition to at least ``canvas`` (rows, columns); see `Grid.canvas`."""
    if canvas is None:
        return image
    margin = [(0, max(0, least - have)) for least, have in zip(canvas, image.shape[-2:], strict=True)]
    return np.pad(image, [(0, 0)] * (image.ndim - 2) + margin, mode="edge")


def resize_labels(labels: NDArray[Scalar], size: tuple[int, int]) -> NDArray[Scalar]:
    """Pick the nearest label for each pixel of ``size`` from ``labels`` [..., H, W]; the dtype stays."""
    height, width = labels.shape[-2:]
    rows, columns = (
        (2 * np.arange(target) + 1) * source // (2 * target)  # floor((i + 1/2) * source / target), in integers
        for target, source in zip(size, (height, width), strict=True)
    )
    return labels[..., rows[:, None], columns]


def _resample(image: NDArray[np.float32], axis: int, length: int) -> NDArray[np.float32]:
    """Resample one axis (-1 or -2) to ``length``: the nearest sample plus weighted differences from it.

    Differences, not a weighted sum: they are zero on a constant, whatever the rounding of the weights. Columns are resampled
    as the rows of the transposed image, which gives the same values (all is elementwise) in a third of the time.
    """
    if axis == -1:
        turned = _resample(np.ascontiguousarray(image.swapaxes(-1, -2)), -2, length)
        return np.ascontiguousarray(turned.swapaxes(-1, -2))
    nearest, taps, weights = _plan_taps(image.shape[axis], length)
    base = np.take(image, nearest, axis=axis)
    resampled = base.copy()
    difference = np.empty_like(base)
    for tap, weight in zip(taps, weights, strict=True):
        np.take(image, tap, axis=axis, out=difference, mode="clip")  # the taps lie inside; checking them costs a copy
        difference -= base
        difference *= weight[:, None]
        resampled += difference
    return resampled


@lru_cache(maxsize=64)
def _plan_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Where each of T target samples looks among the source: nearest index [T], other taps [N, T], their weights [N, T].

    The nearest sample is no tap, its difference from itself being zero; the taps of a target that has fewer end in weights of zero.
    Kept, and not to be written to: a volume's planes are all resampled alike, and the plan took a quarter of the time of one.
    """
    step = source / target
    support = max(1.0, step)
    centre = (np.arange(target) + 0.5) * step
    first = np.floor(centre - support + 0.5).astype(np.intp)
    taps = first + np.arange(math.ceil(2 * support) + 1)[:, None]
    weights = np.maximum(0.0, 1.0 - np.abs(taps + 0.5 - centre) / support)
    weights[(taps < 0) | (taps >= source)] = 0.0
    weights /= weights.sum(axis=0)
    nearest = np.clip(np.floor(centre).astype(np.intp), 0, source - 1)
    weights[taps == nearest] = 0.0
    first_used = np.argsort(weights == 0.0, axis=0, kind="stable")  # bool: those that count come first, in their order
    taps, weights = (np.take_along_axis(array, first_used, axis=0) for array in (taps, weights))
    used = weights.any(axis=1)
    return nearest, np.clip(taps, 0, source - 1)[used], weights[used].astype(np.float32)
