"""Noise family ``weak``: boxes, ellipses or superpixels where outlines should be.

Why: cheap annotation gives such labels, and their error is large, one-sided and the same for every object. What must
hold: each connected piece of a class is simplified by itself; it spreads into background only, never over another
class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.spatial import cKDTree

from adelecli.errors import ConfigError
from adelecli.labels.noise.slices import Mask, corrupt_slices, find_box, move_class

if TYPE_CHECKING:
    from adelecli.labels.classes import IndexArray

_SHAPES = ("box", "ellipse", "superpixel")


def simplify_outlines(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    shape: Literal["box", "ellipse", "superpixel"] = "box",
    cell: int = 6,
    share: float = 1.0,
    coherent: bool = False,
) -> IndexArray:
    """Every connected piece of a class in the slices of [Z, Y, X] replaced by a simple ``shape``; a new array.

    ``box``: its bounding box; ``ellipse``: the ellipse with its centre and second moments; ``superpixel``: cells about
    ``cell`` pixels wide, cut at random, each of which takes its most frequent class. ``share`` of the slices is
    damaged; ``coherent``: the same slices, and the same cells, throughout a case. ConfigError for an unknown shape or
    an impossible cell.
    """
    if shape not in _SHAPES or cell < 1:
        raise ConfigError(f"shape {shape!r}, cell {cell}", remedy=f"choose from {', '.join(_SHAPES)}, cell 1 or more")

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        if shape == "superpixel":
            _merge_cells(plane, classes, cell, draw)
            return plane
        for index in classes:
            _redraw_pieces(plane, index, shape)
        return plane

    return corrupt_slices(labels, rng, damage, share=share, coherent=coherent)


def _redraw_pieces(plane: IndexArray, index: int, shape: str) -> None:
    """Box or ellipse for each connected piece of a class, in place."""
    pieces, _ = label(plane == index)
    for number, (rows, columns) in enumerate(find_objects(pieces), 1):
        # an ellipse of the same moments leaves the bounding box by less than one side of it
        margin = 0 if shape == "box" else max(rows.stop - rows.start, columns.stop - columns.start)
        box = find_box(pieces == number, margin)
        assert box is not None
        piece = pieces[box] == number
        drawn = np.ones_like(piece) if shape == "box" else fit_ellipse(piece)
        move_class(plane[box], piece, drawn, index)


def fit_ellipse(mask: Mask) -> Mask:
    """The filled ellipse with the centre and second moments of a mask [Y, X] that is not empty."""
    points = np.argwhere(mask)
    centre = points.mean(0)
    offsets = points - centre
    moments = offsets.T @ offsets / len(points) + np.eye(2) / 12  # a pixel is a square, not a point
    grid = np.indices(mask.shape).reshape(2, -1).T - centre
    inside = np.einsum("ni,ij,nj->n", grid, np.linalg.inv(moments), grid) <= 4.0
    return np.asarray(inside.reshape(mask.shape))


def _merge_cells(plane: IndexArray, classes: tuple[int, ...], cell: int, draw: np.random.Generator) -> None:
    """Each cell of a jittered grid takes its most frequent class, in place."""
    counts = [math.ceil(n / cell) for n in plane.shape]
    seeds = np.indices(counts).reshape(2, -1).T * cell + draw.uniform(0, cell, (math.prod(counts), 2))
    free = np.isin(plane, (0, *classes))
    box = find_box(free & (plane > 0), margin=2 * cell)
    if box is None:
        return
    window, movable = plane[box], free[box]
    pixels = np.argwhere(movable)
    _, owner = cKDTree(seeds).query(pixels + [part.start for part in box])
    votes = np.zeros((len(seeds), 256), np.int64)
    np.add.at(votes, (owner, window[movable]), 1)
    window[movable] = votes.argmax(1)[owner].astype(np.uint8)
