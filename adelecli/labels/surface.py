"""Distances between the surfaces of two masks, in millimetres.

Why: overlap forgives a thin wrong rim and a far speck alike; distances do not. What must hold: the definitions of MONAI
(surface = voxels of the mask with a face neighbour outside it; HD95 = the larger of the two directed 95th percentiles;
ASSD = mean over both surfaces together), so that numbers can be compared; two empty masks have no distance (NaN), one
empty mask is infinitely far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adelecli.labels.classes import LabelArray

Mask: TypeAlias = npt.NDArray[np.bool_]
_Vector: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from each surface voxel of one mask to the surface of the other, in both directions."""

    forward: _Vector
    backward: _Vector

    @cached_property
    def hausdorff95(self) -> float:
        """The larger of the two directed 95th percentiles."""
        return self._reduce(lambda: max(float(np.percentile(d, 95)) for d in (self.forward, self.backward)))

    @cached_property
    def average(self) -> float:
        """ASSD: the mean over the voxels of both surfaces."""
        return self._reduce(lambda: float(np.concatenate([self.forward, self.backward]).mean()))

    def _reduce(self, measure: Callable[[], float]) -> float:
        empty = (self.forward.size == 0) + (self.backward.size == 0)
        return (measure, lambda: math.inf, lambda: math.nan)[empty]()


def measure_surfaces(a: Mask, b: Mask, spacing: Sequence[float]) -> SurfaceDistances:
    """Both directed distances between two masks of one shape (2D or 3D); ``spacing`` in mm per axis, e.g. (dz, dy, dx).

    Compute it once when several measures are wanted. Raises ValueError when shapes or the number of spacings differ.
    """
    if a.shape != b.shape or len(spacing) != a.ndim:
        raise ValueError(f"shapes {a.shape} and {b.shape} with {len(spacing)} spacings")
    if not a.any() or not b.any():
        return SurfaceDistances(np.zeros(int(a.any())), np.zeros(int(b.any())))
    box = _find_box(a | b)
    edge_a, edge_b = _find_surface(a[box]), _find_surface(b[box])
    to_a: _Vector = distance_transform_edt(~edge_a, sampling=spacing)
    to_b: _Vector = distance_transform_edt(~edge_b, sampling=spacing)
    return SurfaceDistances(to_b[edge_a], to_a[edge_b])


def find_boundary_band(labels: LabelArray, spacing: Sequence[float], width: float = 3.0) -> Mask:
    """The voxels within ``width`` mm of a voxel that touches another class; the band in which most label errors lie."""
    edge = np.zeros(labels.shape, np.bool_)
    for axis in range(labels.ndim):
        lower = (slice(None),) * axis + (slice(None, -1),)
        upper = (slice(None),) * axis + (slice(1, None),)
        differs = labels[lower] != labels[upper]
        edge[lower] |= differs
        edge[upper] |= differs
    if not edge.any():
        return edge
    return np.asarray(distance_transform_edt(~edge, sampling=spacing) <= width)


def _find_surface(mask: Mask) -> Mask:
    """Voxels of the mask with a face neighbour outside it; the border of the array counts as outside."""
    return np.asarray(mask & ~binary_erosion(mask))


def _find_box(mask: Mask) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty: nothing outside it can be a surface or nearest to one."""
    box = []
    for axis in range(mask.ndim):
        held = np.flatnonzero(mask.any(tuple(i for i in range(mask.ndim) if i != axis)))
        box.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(box)
