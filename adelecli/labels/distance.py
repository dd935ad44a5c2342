"""How far each pixel lies from a border, to the pixel and no further than it matters.

Why not ``scipy.ndimage.distance_transform_edt``: it finds the nearest pixel over any distance, once for each side, and was four
fifths of what correcting a slice costs beside the network. Rings along an outline end at a few dozen pixels, and so does this
search: along the rows first, then across them, in small integers (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled
Functions", Theory of Computing 2012; the lower envelope of the parabolas is the minimum over those that reach far enough).

What must hold: the numbers are those of the exact Euclidean transform, rounded and clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]

MOST = 126
"""The farthest distance that the integers used here hold, with room for the step beyond it."""
LOOK = 4
"""So many steps are taken before it is looked whether any pixel can still come nearer; looking costs as much as a step."""


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
    height = squares.shape[1]
    reach = min(farthest, height - 1)
    cap = (farthest + 1) ** 2
    padded = np.pad(squares, ((0, 0), (reach, reach), (0, 0)), constant_values=cap)
    moved = np.empty_like(padded)
    for step in range(1, reach + 1):
        square = step * step
        if step % LOOK == 1 and square >= squares.max():
            break
        np.add(padded, np.uint16(square), out=moved)
        for start in (reach + step, reach - step):
            np.minimum(squares, moved[:, start : start + height], out=squares)
    return squares
