"""Where the voxels of a file lie, and the exact way to the canonical grid and back.

Networks must see every patient from the same side, and the clinic must get its labels back on the very grid they came
on. So two grids exist: the SOURCE grid is the file's array with its axes reversed to (z, y, x), without any flip; the
CANONICAL grid is the closest RAS+ reorientation (Z runs to superior, Y to anterior, X to right). The way between them
is made of transposes and flips only: no value is ever interpolated, and ``from_canonical(to_canonical(a))`` is ``a``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

TOLERANCE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Geometry:
    """The frame of one volume.

    ``shape`` is (Z, Y, X) of the source grid; ``affine`` a 4x4 float64 matrix from voxel (x, y, z) to RAS+ millimetres,
    not singular; ``header`` what precedes the voxels in the NIfTI file (the raw 348 or 540 bytes, then its extensions
    if it has any), so that a result can be written under the same header; None for rasters, whose affine is the
    identity.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    kind: Literal["nifti", "raster"] = "nifti"
    header: bytes | None = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The voxel size (dz, dy, dx) of the source grid in millimetres."""
        dx, dy, dz = (float(size) for size in self._sizes)
        return dz, dy, dx

    @property
    def canonical_spacing(self) -> tuple[float, float, float]:
        """The voxel size (dz, dy, dx) of the canonical grid in millimetres."""
        right, anterior, superior = (float(self._sizes[axis]) for axis in self._source_axes)
        return superior, anterior, right

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """The shape (Z, Y, X) of the canonical grid."""
        right, anterior, superior = (self.shape[2 - axis] for axis in self._source_axes)
        return superior, anterior, right

    @property
    def codes(self) -> str:
        """Where the source axes (x, y, z) run to, for instance "LPS"."""
        return "".join(_orientations().ornt2axcodes(self._orientation))

    def to_canonical(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn an array [..., Z, Y, X] of the source grid into the canonical grid; a view, nothing is copied."""
        return self._reorient(array, self._orientation)

    def from_canonical(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn an array [..., Z, Y, X] of the canonical grid back into the source grid; a view, nothing is copied."""
        canonical = np.array([[0, 1], [1, 1], [2, 1]])
        return self._reorient(array, _orientations().ornt_transform(canonical, self._orientation))

    def locate_slice(self, axis: int, index: int) -> tuple[slice, slice, slice]:
        """The region of the source grid [Z, Y, X] that holds slice ``index`` along ``axis`` (0, 1, 2: z, y, x) of the canonical grid.

        It is one voxel thick; ``to_canonical`` of what it holds is the slice, with that axis kept.
        """
        source = self._source_axes[2 - axis]
        size = self.shape[2 - source]
        place = size - 1 - index if self._orientation[source, 1] < 0 else index
        region = [slice(None)] * 3
        region[2 - source] = slice(place, place + 1)
        return region[0], region[1], region[2]

    def describe_difference(self, other: Geometry, tolerance_mm: float = TOLERANCE_MM) -> str | None:
        """Say in words how two frames differ, or None when they agree.

        They agree when the shapes are equal and no corner of the grid lies more than ``tolerance_mm`` from its twin.
        Rasters have no millimetres: among them the shape alone counts, and a raster never agrees with a NIfTI volume.
        """
        if self.kind != other.kind:
            return f"a {self.kind} file and a {other.kind} file"
        if self.shape != other.shape:
            return f"shape {_say_shape(self.shape)} against {_say_shape(other.shape)} (x, y, z)"
        if self.kind == "raster":
            return None
        distance = float(np.linalg.norm(self._corners() - other._corners(), axis=1).max())
        if distance <= tolerance_mm:
            return None
        codes = f" ({self.codes} against {other.codes})" if self.codes != other.codes else ""
        return f"the affines put a corner of the volume {distance:.3g} mm apart{codes}"

    @cached_property
    def _sizes(self) -> npt.NDArray[np.float64]:
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @cached_property
    def _orientation(self) -> npt.NDArray[np.float64]:
        # Row i: to which canonical axis (x, y, z) the source axis i goes, and whether it is flipped on the way.
        return np.asarray(_orientations().io_orientation(self.affine))

    @property
    def _source_axes(self) -> tuple[int, int, int]:
        right, anterior, superior = (int(axis) for axis in np.argsort(self._orientation[:, 0]))
        return right, anterior, superior

    @staticmethod
    def _reorient(array: npt.NDArray[Any], orientation: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        # nibabel moves the leading axes (x, y, z); ours are the trailing (z, y, x): the same array, transposed.
        turned: npt.NDArray[Any] = _orientations().apply_orientation(array.T, orientation).T
        return turned

    def _corners(self) -> npt.NDArray[np.float64]:
        # The outer edges, not the voxel centres: a single slice with another thickness must differ.
        z, y, x = self.shape
        voxels = np.array(list(product((-0.5, x - 0.5), (-0.5, y - 0.5), (-0.5, z - 0.5), (1.0,))))
        return np.asarray((voxels @ self.affine.T)[:, :3])


def make_raster_geometry(shape: tuple[int, int, int]) -> Geometry:
    """The frame of a raster of ``shape`` (Z, Y, X): the identity, so that source and canonical grid are one."""
    return Geometry(shape, np.eye(4), "raster")


def _orientations() -> Any:
    from nibabel import orientations

    return orientations  # its functions carry no types


def _say_shape(shape: tuple[int, int, int]) -> str:
    return "x".join(str(size) for size in reversed(shape))
