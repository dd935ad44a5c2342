"""Noise family ``swap``: two classes exchanged, as left and right or two vertebrae are.

Why: the outline is right and the name is wrong, so agreement of the foreground hides it. What must hold: foreground and
background stay as they are; only names are exchanged, both ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.labels.noise.slices import corrupt_slices

if TYPE_CHECKING:
    from adelecli.labels.classes import IndexArray


def swap_classes(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    share: float = 0.3,
    coherent: bool = False,
) -> IndexArray:
    """Two classes that the case holds exchanged in a ``share`` of the slices of [Z, Y, X]; a new array.

    ``coherent``: the same two in all slices of a case. A case with fewer than two of ``classes`` stays as it is.
    """
    present = np.array([index for index in classes if (labels == index).any()], np.uint8)

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        if present.size < 2:
            return plane
        first, second = draw.choice(present, 2, replace=False)
        table = np.arange(256, dtype=np.uint8)
        table[[first, second]] = second, first
        return table[plane]

    return corrupt_slices(labels, rng, damage, share=share, coherent=coherent)
