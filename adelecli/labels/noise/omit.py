"""Noise family ``omit``: an organ that was not drawn, in some slices or in whole cases.

Why: forgotten slices and forgotten organs are the error that no rule per slice can repair, because the class is absent
from the label of that slice. What must hold: a class is left out of a slice entirely or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.labels.noise.slices import corrupt_slices

if TYPE_CHECKING:
    import numpy as np

    from adelecli.labels.classes import IndexArray


def omit_objects(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    share: float = 0.3,
    coherent: bool = False,
) -> IndexArray:
    """Each class left out of a slice of [Z, Y, X] with probability ``share``; ``coherent``: out of the whole case."""
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"share is {share:g}", remedy="choose a value in 0..1")

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        for index in classes:
            if draw.random() < share:
                plane[plane == index] = 0
        return plane

    return corrupt_slices(labels, rng, damage, coherent=coherent)
