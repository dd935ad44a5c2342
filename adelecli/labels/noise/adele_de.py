"""Noise family ``adele-de``: outlines drawn too small or too large, slice by slice (ADELE's SegTHOR experiment).

Why: it is the noise of the paper (arXiv 2110.03740, section 5.1), so results can be compared. Each class is first
rescaled to about 1000 pixels, so that small and large organs suffer the same relative damage. What must hold: one mode
and one number of iterations per slice; dilation only into background, erosion to background; classes in the given
order, since a dilated class takes the background from the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from adelecli.errors import ConfigError
from adelecli.labels.noise.slices import Mask, check_iterations, corrupt_slices, find_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adelecli.labels.classes import IndexArray

Mode: TypeAlias = Literal["erode", "dilate"]

_TARGET_PIXELS = 1000
_CUBIC = -0.75  # the parameter of OpenCV's cubic, which the reference code resizes with


def damage_outlines(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    k: Sequence[int] = (2, 3, 4),
    mode: Literal["erode", "dilate", "either", "each"] = "either",
    share: float = 1.0,
    coherent: bool = False,
) -> IndexArray:
    """Erode or dilate every class of a slice by k iterations of a 3x3 kernel, k drawn from ``k``; [Z, Y, X].

    ``mode`` ``either`` tosses a fair coin per slice; ``each`` tosses one for every class, which draws its own k as well.
    ``share`` of the slices is damaged. ``coherent``: one draw per case, so that with ``each`` an organ is too small, or
    too large, in all of its slices.
    """
    if mode not in {"erode", "dilate", "either", "each"}:
        raise ConfigError(f"mode is {mode!r}", remedy="choose erode, dilate, either or each")
    choices = check_iterations(k)

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        for group in [(index,) for index in classes] if mode == "each" else [classes]:
            coin: Mode = "erode" if draw.random() < 0.5 else "dilate"
            iterations = int(draw.choice(choices))
            plane = damage_slice(plane, group, mode if mode in {"erode", "dilate"} else coin, iterations)
        return plane

    return corrupt_slices(labels, rng, damage, share=share, coherent=coherent)


def damage_slice(plane: IndexArray, classes: tuple[int, ...], mode: Mode, iterations: int) -> IndexArray:
    """One slice [Y, X] with each class eroded or dilated at the scale where it has about 1000 pixels; a new array."""
    damaged = plane.copy()
    for index in classes:
        mask = damaged == index
        pixels = int(np.count_nonzero(mask))
        if not pixels:
            continue
        ratio = math.sqrt(_TARGET_PIXELS / pixels)
        box = find_box(mask, margin=math.ceil((iterations + 3) / ratio) + 3)
        assert box is not None
        rows, columns = (_Axis(n, max(1, round(n * ratio)), part) for n, part in zip(plane.shape, box, strict=True))
        window, inner = damaged[box], mask[box]
        scaled = _filter(_resize(inner, rows.taps_there(), columns.taps_there()), mode, iterations)
        result = _resize(scaled, rows.taps_back(), columns.taps_back())
        if mode == "erode":
            window[inner & ~result] = 0
        else:
            window[result & (window == 0)] = index
    return damaged


@dataclass(frozen=True)
class _Axis:
    """One image axis of ``size`` pixels, its rescaled ``scaled`` pixels, and the ``part`` of it that is worked on.

    Only the box around the class is resized, yet on the grid of the whole image: half a pixel of shift would change as
    much as one iteration does.
    """

    size: int
    scaled: int
    part: slice

    @property
    def scaled_part(self) -> slice:
        """The rescaled pixels whose centres lie in the part."""
        ratio = self.scaled / self.size
        return slice(math.ceil(self.part.start * ratio - 0.5), math.ceil(self.part.stop * ratio - 0.5) or 1)

    def taps_there(self) -> _Taps:
        return _place_taps(self.size, self.scaled, self.part, self.scaled_part)

    def taps_back(self) -> _Taps:
        return _place_taps(self.scaled, self.size, self.scaled_part, self.part)


def _filter(mask: Mask, mode: Mode, iterations: int) -> Mask:
    """``iterations`` of a 3x3 kernel are one kernel of 2 k + 1; what lies outside the image changes nothing."""
    size = 2 * iterations + 1
    filter1d, outside = (minimum_filter1d, 1) if mode == "erode" else (maximum_filter1d, 0)
    grey: npt.NDArray[Any] = mask.astype(np.uint8)
    for axis in (0, 1):
        grey = filter1d(grey, size, axis=axis, mode="constant", cval=outside)
    return np.asarray(grey > 0)


@dataclass(frozen=True)
class _Taps:
    """For each output pixel the four input pixels that it is made of, and their weights; both [4, outputs]."""

    places: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]

    def interpolate(self, grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[inputs, n] -> [outputs, n]."""
        total: npt.NDArray[np.float32] = self.weights[0, :, None] * grey[self.places[0]]
        for places, weights in zip(self.places[1:], self.weights[1:], strict=True):
            total += weights[:, None] * grey[places]
        return total


def _resize(mask: Mask, rows: _Taps, columns: _Taps) -> Mask:
    """Resize of a mask [Y, X], cut at one half, as the reference's 8-bit ``cv2.resize(..., INTER_CUBIC) > 0`` rounds."""
    grey = columns.interpolate(rows.interpolate(mask.astype(np.float32)).T).T
    return np.asarray(grey >= 0.5)


def _place_taps(source: int, target: int, inputs: slice, outputs: slice) -> _Taps:
    """Cubic interpolation at half-pixel centres between two grids, the edge repeated.

    Outside ``inputs`` there is nothing but background, so what falls there weighs nothing.
    """
    position = (np.arange(outputs.start, outputs.stop) + 0.5) * (source / target) - 0.5
    taps = np.floor(position).astype(np.intp) + np.arange(-1, 3)[:, None]
    distance = np.abs(position - taps)
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    places = np.clip(taps, 0, source - 1)
    held = (places >= inputs.start) & (places < inputs.stop)
    weights = np.where(held, np.where(distance <= 1, near, far), 0)
    return _Taps(np.where(held, places - inputs.start, 0), weights.astype(np.float32))
