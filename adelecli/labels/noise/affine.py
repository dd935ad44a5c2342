"""Noise family ``affine``: each object a little turned, shifted and resized, as when an outline is copied from the next slice.

Why: unlike too-thick or too-thin outlines, this error keeps an object's shape and size and moves its whole boundary one
way. What must hold: an object moves over background only, and leaves background behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform

from adelecli.errors import ConfigError
from adelecli.labels.noise.slices import Mask, corrupt_slices, find_box, move_class

if TYPE_CHECKING:
    from adelecli.labels.classes import IndexArray


@dataclass(frozen=True)
class Motion:
    """A turn in radians, a shift (rows, columns) as a share of the object's size, and a change of size (1 = none)."""

    turn: float
    shift: tuple[float, float]
    size: float


def move_objects(
    labels: IndexArray,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    *,
    angle: float = 10.0,
    amount: float = 0.15,
    share: float = 1.0,
    coherent: bool = False,
) -> IndexArray:
    """Each class of a slice of [Z, Y, X] moved by one random affine map about its centre; a new array.

    ``angle`` is the largest turn in degrees; ``amount`` the largest shift along an axis, as a share of the square root
    of the area, and the largest change of size; all are drawn evenly on both sides of none. ``share`` of the slices is
    damaged; ``coherent``: one draw per case. Raises ConfigError for impossible values.
    """
    if angle < 0 or not 0 <= amount < 1:
        raise ConfigError(f"angle {angle:g}, amount {amount:g}", remedy="choose 0 or more, and an amount below 1")

    def damage(plane: IndexArray, draw: np.random.Generator) -> IndexArray:
        for index in classes:
            turn, down, right, size = draw.uniform(-1, 1, 4)
            motion = Motion(math.radians(angle * turn), (amount * down, amount * right), 1 + amount * size)
            _move_class(plane, index, motion)
        return plane

    return corrupt_slices(labels, rng, damage, share=share, coherent=coherent)


def _move_class(plane: IndexArray, index: int, motion: Motion) -> None:
    mask = plane == index
    tight = find_box(mask)
    if tight is None:
        return
    side = max(part.stop - part.start for part in tight)
    # no pixel is farther than a diagonal (1.42 sides) from the centre, and the root of the area is at most a side
    reach = math.ceil(side * (1.42 * motion.size + max(map(abs, motion.shift)))) + 1
    box = find_box(mask, reach)
    assert box is not None
    move_class(plane[box], mask[box], move_mask(mask[box], motion), index)


def move_mask(mask: Mask, motion: Motion) -> Mask:
    """A mask [Y, X], not empty, moved about its centre of mass; what leaves the frame is lost."""
    points = np.argwhere(mask)
    centre = points.mean(0)
    cosine, sine = math.cos(motion.turn), math.sin(motion.turn)
    back = np.array([[cosine, sine], [-sine, cosine]]) / motion.size  # from the new place to the old one
    target = centre + math.sqrt(len(points)) * np.array(motion.shift)
    moved = affine_transform(mask.astype(np.float32), back, centre - back @ target, order=1)
    return np.asarray(moved >= 0.5)
