"""Noise family ``boundary``: outlines that wander, a Markov walk of the boundary with a bias.

Why: a hand neither keeps a constant distance nor makes independent errors at neighbouring pixels; a walk that grows or
shrinks the object by random boundary pixels, step after step, does both (Yao et al., "Learning to segment from noisy
annotations: a spatial correction approach", ICLR 2023). What must hold: a step touches only pixels at the present
boundary and never another class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.ndimage import binary_dilation, binary_erosion

from adelecli.errors import ConfigError
from adelecli.labels.noise.slices import corrupt_slices, find_box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from adelecli.labels.classes import IndexArray

_FOLLOWS = 0.5


def walk_boundaries(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    steps: int = 4,
    expand: float = 0.8,
    share: float = 1.0,
    coherent: bool = False,
) -> IndexArray:
    """``steps`` random moves of every class boundary in the slices of [Z, Y, X]; a new array.

    A step expands a class with probability ``expand`` and else shrinks it; every second pixel at the boundary, drawn at
    random, follows. ``expand`` .8 is the annotator who draws too large, .2 the one who draws too small. ``share`` of
    the slices is damaged; ``coherent``: the same moves in all slices of a case. Raises ConfigError for impossible
    values.
    """
    if steps < 0 or not 0 <= expand <= 1:
        raise ConfigError(f"steps {steps}, expand {expand:g}", remedy="choose 0 or more steps, expand in 0..1")

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        for _ in range(steps):
            growing = draw.random(len(classes)) < expand
            follows = draw.random(plane.shape) < _FOLLOWS
            for index, grows in zip(classes, growing, strict=True):
                _step(plane, index, bool(grows), follows)
        return plane

    return corrupt_slices(labels, rng, damage, share=share, coherent=coherent)


def _step(plane: IndexArray, index: int, grows: bool, follows: npt.NDArray[np.bool_]) -> None:
    """One move of the boundary of a class in place."""
    box = find_box(plane == index, margin=1)
    if box is None:
        return
    window, moves = plane[box], follows[box]
    mask = window == index
    if grows:
        window[binary_dilation(mask) & (window == 0) & moves] = index
    else:
        # what lies outside the image is unknown, not background: an object at its edge is not eaten from there
        window[mask & ~binary_erosion(mask, border_value=1) & moves] = 0
