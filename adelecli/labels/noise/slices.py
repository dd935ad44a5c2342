"""What all noise families share: going through slices, and the box that a class occupies.

Why: every family damages one slice at a time, a share of the slices or the whole case, with draws that differ from
slice to slice or are the same for a case. What must hold: ignored voxels come out as they went in; the same generator
state gives the same result; a *coherent* case restarts one generator for each slice, so a family that always draws in
the same order (for absent classes too) draws the same for every slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE, IndexArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Mask: TypeAlias = npt.NDArray[np.bool_]


def corrupt_slices(
    labels: IndexArray,
    rng: np.random.Generator,
    damage: Callable[[IndexArray, np.random.Generator], IndexArray],
    *,
    share: float = 1.0,
    coherent: bool = False,
) -> IndexArray:
    """``damage`` (slice [Y, X], generator -> slice) applied to a ``share`` of the slices of [Z, Y, X].

    ``coherent``: one draw for the case, which is damaged in all slices (with probability ``share``) or in none.
    Raises ConfigError when ``share`` is no share.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"share is {share:g}", remedy="choose a value in 0..1")
    damaged = labels.copy()
    seed = int(rng.integers(2**63))
    if coherent and rng.random() >= share:
        return damaged
    for z in find_labelled_slices(labels):
        if not coherent and rng.random() >= share:
            continue
        result = damage(labels[z].copy(), np.random.default_rng(seed) if coherent else rng)
        damaged[z] = np.where(labels[z] == IGNORE, labels[z], result)
    return damaged


def find_labelled_slices(labels: IndexArray) -> list[int]:
    """The slices of [Z, Y, X] that hold any foreground."""
    return [z for z, plane in enumerate(labels) if ((plane > 0) & (plane != IGNORE)).any()]


def find_box(mask: Mask, margin: int = 0) -> tuple[slice, slice] | None:
    """The bounding box of a mask [Y, X], grown by ``margin`` pixels within the image; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, mask.shape[0])),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, mask.shape[1])),
    )


def move_class(labels: IndexArray, old: Mask, new: Mask, index: int) -> None:
    """Redraw a class in place: what leaves ``old`` becomes background, what is background in ``new`` becomes the class."""
    labels[old & ~new] = 0
    labels[new & (labels == 0)] = index


def check_iterations(k: Sequence[int]) -> tuple[int, ...]:
    """The numbers of iterations to choose from; ConfigError unless there is at least one and all are 0 or more."""
    if not k or any(int(n) != n or n < 0 for n in k):
        raise ConfigError(f"k is {tuple(k)}", remedy="name one or more whole numbers, for instance 1-5")
    return tuple(int(n) for n in k)
