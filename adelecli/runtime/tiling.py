"""Slices too large for one run: cut into overlapping tiles of one size, and blended back without a seam.

What must hold: the weights of a pixel add up to 1 everywhere, up to the border, so that a constant stays that constant to
the bit; all tiles of a slice have one shape (every other shape costs memory plans, and on a GPU a search); the tiles are
visited in one fixed order, so the result is always the same.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from adelecli.runtime.contract import Contract

    Size = tuple[int, int]

WHOLE_PIXELS = 1 << 21
"""Slices up to this size run whole: a network whose norms look at all of the slice answers best as it was trained."""

SHAPE, OVERLAP = (512, 512), 0.25
"""The tiles of a contract that names none."""


def choose_tile(size: Size, contract: Contract) -> Size | None:
    """The tile (rows, columns) in which slices of ``size`` are run; ``None``: whole."""
    tiles = getattr(contract, "tiles", None)
    shape: Size = SHAPE if tiles is None else tuple(tiles.shape)[-2:]
    fits = size[0] * size[1] <= WHOLE_PIXELS if tiles is None else all(a <= b for a, b in zip(size, shape, strict=True))
    return None if fits else (min(size[0], shape[0]), min(size[1], shape[1]))


def choose_overlap(contract: Contract) -> float:
    """The share of a tile that its neighbour covers too, 0..1."""
    tiles = getattr(contract, "tiles", None)
    return OVERLAP if tiles is None else float(tiles.overlap)


def plan_tiles(size: Size, tile: Size, overlap: float) -> list[Size]:
    """The corners (row, column) of the tiles that cover ``size``, evenly spread, in reading order.

    >>> plan_tiles((4, 10), (4, 4), 0.25)
    [(0, 0), (0, 3), (0, 6)]
    """
    rows, columns = (_spread(n, t, overlap) for n, t in zip(size, tile, strict=True))
    return list(product(rows, columns))


def _spread(size: int, tile: int, overlap: float) -> list[int]:
    step = max(1, math.floor(tile * (1 - overlap)))
    last = math.ceil((size - tile) / step)
    return [0] if last <= 0 else [(size - tile) * i // last for i in range(last + 1)]


def weigh_tile(tile: Size) -> NDArray[np.float32]:
    """A Gaussian [rows, columns] with its peak 1 in the middle and a deviation of an eighth of the side (Isensee 2021), > 0."""
    rows, columns = (np.exp(-0.5 * ((np.arange(n) + 0.5 - n / 2) / (n / 8)) ** 2) for n in tile)
    return np.asarray(np.maximum(rows[:, None] * columns, 1e-6), np.float32)


def blend_tiles(
    image: NDArray[np.float32],
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    tile: Size,
    overlap: float = OVERLAP,
) -> NDArray[np.float32]:
    """Probabilities [K, H, W] of ``image`` [C, H, W], from ``run`` ([1, C, *tile] -> [1, K, *tile]) on each tile.

    A running weighted mean: each tile moves the mean by its share of the weight so far, which is nothing where they agree.
    """
    weight = weigh_tile(tile)
    total = np.zeros(image.shape[1:], np.float32)
    blended: NDArray[np.float32] | None = None
    for row, column in plan_tiles((image.shape[1], image.shape[2]), tile, overlap):
        place = (slice(row, row + tile[0]), slice(column, column + tile[1]))
        answer = run(np.ascontiguousarray(image[:, *place])[None])[0]
        if blended is None:
            blended = np.zeros((len(answer), *image.shape[1:]), np.float32)
        total[place] += weight
        blended[:, *place] += (answer - blended[:, *place]) * (weight / total[place])
    assert blended is not None  # at least one tile covers any slice
    return blended
