"""How far each pixel lies from a border, to the pixel and no further than it matters.

Why not ``scipy.ndimage.distance_transform_edt``: it finds the nearest pixel over any distance, once for each side, and was four
fifths of what correcting a slice costs beside the network. Rings along an outline end at a few dozen pixels, and so does this
search: along the rows first, then across them, in small integers (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled
Functions", Theory of Computing 2012; the lower envelope of the parabolas is the minimum over those that reach far enough).

What must hold: the numbers are those of the exact Euclidean transform, rounded and clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]
    Box = tuple[slice, slice]

MOST = 126
"""The farthest distance that the integers used here hold, with room for the step beyond it."""
LOOK = 4
"""So many steps are taken before it is looked whether any pixel can still come nearer; looking costs as much as a step."""


@dataclass(frozen=True)
class Rings:
    """The rings of a picture around a border, numbered from the innermost, 0, to the outermost, ``count - 1``.

    ``numbers`` int16: those of the pixels in the box ``near``; all pixels that lie further from the border are in ring ``beyond``.
    """

    near: Box
    numbers: npt.NDArray[np.int16]
    beyond: int
    count: int


def find_rings(inside: Flags, farthest: int) -> Rings | None:
    """The rings of ``inside [H, W]``, ``farthest`` to either side and the border's own; ``None`` where one side is empty.

    Only the surroundings of the smaller side are searched: a slice is large and an organ in it small.
    """
    around_inside, around_outside = find_box(inside, farthest), find_box(~inside, farthest)
    if around_inside is None or around_outside is None:
        return None
    outer = _count_pixels(around_inside) > _count_pixels(around_outside)
    near = around_outside if outer else around_inside
    numbers = number_rings(inside[near], farthest) + np.int16(farthest)
    return Rings(near, numbers, 0 if outer else 2 * farthest, 2 * farthest + 1)


def _count_pixels(box: Box) -> int:
    rows, columns = box
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def find_box(found: Flags, margin: int) -> Box | None:
    """The smallest box that holds all that is true in ``found [H, W]``, and ``margin`` pixels around it; ``None`` where nothing is."""
    spans = []
    for axis in (1, 0):
        held = np.flatnonzero(found.any(axis))
        if not len(held):
            return None
        spans.append(slice(max(int(held[0]) - margin, 0), min(int(held[-1]) + 1 + margin, found.shape[1 - axis])))
    return spans[0], spans[1]


def number_rings(inside: Flags, farthest: int) -> npt.NDArray[np.int16]:
    """Each pixel's Euclidean distance, rounded, to the nearest one of the other side: below 0 in ``inside [H, W]``, above 0 beyond.

    ``farthest``: 1 to 126 pixels; it stands for all that lie further, and for all where ``inside`` is true, or false, everywhere.
    """
    if not 1 <= farthest <= MOST:
        raise ValueError(f"farthest is {farthest}, not 1 to {MOST}")
    within_rows = _measure_rows(np.stack([~inside, inside]), farthest + 1)
    squares = _spread_across(within_rows * within_rows, farthest)
    roots = np.minimum(np.rint(np.sqrt(np.arange((farthest + 1) ** 2 + 1))), farthest).astype(np.int16)
    rings: npt.NDArray[np.int16] = roots[squares[1]] - roots[squares[0]]
    return rings


def _measure_rows(seeds: Flags, cap: int) -> npt.NDArray[np.uint16]:
    """The distance of each pixel of ``[2, H, W]`` to the nearest seed of its own row, at most ``cap``.

    Every distance is a sum of different powers of two, so that each of them needs to be looked at once.
    """
    gaps = np.where(seeds, np.uint8(0), np.uint8(cap))
    moved = np.empty_like(gaps)
    step = 1
    while step < min(cap, gaps.shape[2]):
        np.add(gaps, np.uint8(step), out=moved)
        near = gaps.copy()
        np.minimum(near[..., step:], moved[..., :-step], out=near[..., step:])
        np.minimum(near[..., :-step], moved[..., step:], out=near[..., :-step])
        gaps, step = near, 2 * step
    return gaps.astype(np.uint16)


def _spread_across(squares: npt.NDArray[np.uint16], farthest: int) -> npt.NDArray[np.uint16]:
    """The squared distances ``[2, H, W]``, given those within the rows, at most the square of ``farthest`` + 1."""
    own, moved = squares.copy(), np.empty_like(squares)
    for step in range(1, min(farthest, squares.shape[1] - 1) + 1):
        square = step * step
        if step % LOOK == 1 and square >= squares.max():
            break
        np.add(own, np.uint16(square), out=moved)
        np.minimum(squares[:, step:], moved[:, :-step], out=squares[:, step:])
        np.minimum(squares[:, :-step], moved[:, step:], out=squares[:, :-step])
    return squares
