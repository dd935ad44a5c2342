"""The intensity constants of a channel too large to be copied: percentiles, mean and deviation of it, slab by slab.

What must hold: the percentiles are those of ``numpy.percentile`` on the float32 values, to the bit (order statistics are
counted, not estimated); the sums differ from those of a copy in their order alone, which moves a float64 by parts in
10**13 and the float32 that is subtracted from the voxels practically never; nothing depends on how large the slabs are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.scratch import cut_slabs, let_go

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_HALF = 1 << 16
_BLOCK = 1 << 20
_SLAB = 1 << 21  # the counting needs up to 30 bytes for each byte of the slab


def measure_channel(channel: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float, float, float]:
    """The two ``percentiles`` of ``channel`` [Z, Y, X] as float32 values, and mean and deviation of the values clipped to them.

    All are NaN when the channel holds a value that is not finite in float32.
    """
    low, high = find_percentiles(channel, percentiles)
    if not (math.isfinite(low) and math.isfinite(high)):
        return math.nan, math.nan, math.nan, math.nan
    mean = math.fsum(float(part.sum(dtype=np.float64)) for part in _clip_blocks(channel, low, high)) / channel.size
    squares = (float(np.square(part - mean, dtype=np.float64).sum()) for part in _clip_blocks(channel, low, high))
    return low, high, mean, math.sqrt(math.fsum(squares) / channel.size)


def find_percentiles(channel: NDArray[Any], percentiles: Sequence[float]) -> list[float]:
    """``numpy.percentile(channel.astype(float32), percentiles)`` without the copy; NaN where a value is not finite.

    Two passes count the upper and the lower half of each float's ordered bits (Knuth's radix selection).
    """
    places = [percent / 100 * (channel.size - 1) for percent in percentiles]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    upper = np.zeros(_HALF, np.int64)
    for values in _iterate_slabs(channel):
        if not np.isfinite(values).all():
            return [math.nan] * len(percentiles)
        upper += np.bincount(_order_bits(values) >> 16, minlength=_HALF)
    below = np.cumsum(upper)
    bins = {rank: int(np.searchsorted(below, rank, side="right")) for rank in ranks}
    lower = {name: np.zeros(_HALF, np.int64) for name in bins.values()}
    for values in _iterate_slabs(channel):
        bits = _order_bits(values)
        for name in lower:
            lower[name] += np.bincount(bits[bits >> 16 == name] & (_HALF - 1), minlength=_HALF)
    found = {}
    for rank, name in bins.items():
        inside = rank - (int(below[name - 1]) if name else 0)
        found[rank] = _restore_float(name << 16 | int(np.searchsorted(np.cumsum(lower[name]), inside, side="right")))
    return [_interpolate(found[math.floor(place)], found[math.ceil(place)], place % 1) for place in places]


def _iterate_slabs(channel: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """The channel's values as flat float32 slabs, in C order of its axes."""
    for part in cut_slabs(channel, _SLAB):
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
            yield np.array(channel[part], dtype=np.float32, order="C").ravel()
        let_go(channel)


def _clip_blocks(channel: NDArray[Any], low: float, high: float) -> Iterator[NDArray[np.float32]]:
    """Clipped values in blocks that do not depend on the slabs: each plane in parts of a fixed size."""
    for plane in channel:
        flat = np.array(plane, dtype=np.float32, order="C").ravel()
        np.clip(flat, low, high, out=flat)
        yield from (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
        let_go(channel)


def _order_bits(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers 0..2**32-1 in the order of the floats; both zeros are one value, as they compare."""
    bits = (values + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31)).astype(np.int64)


def _restore_float(order: int) -> np.float32:
    bits = order & ~(1 << 31) if order >> 31 else ~order & 0xFFFFFFFF
    return np.uint32(bits).view(np.float32)


def _interpolate(low: np.float32, high: np.float32, share: float) -> float:
    """What ``numpy.percentile`` does between two neighbours: from the nearer end, so that it is symmetric."""
    step = high - low
    value = low + step * np.float64(share) if share < 0.5 else high - step * np.float64(1 - share)
    return float(value)
