"""The three planes in which a clinician looks at a volume, and which slice of each is worth a look.

Pictures follow the radiological habit: axial from below with anterior up, coronal from the front, sagittal from the patient's left;
the patient's right is on the left of the picture. What must hold: all is arithmetic on arrays; nothing is read or drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_MARGIN = 10
"""Surroundings that a cut-out keeps on each side at least, in pixels of the finer side: an outline is judged by what it should follow."""


@dataclass(frozen=True)
class Plane:
    """A plane: its name, the canonical axis (0, 1, 2: z, y, x) that it cuts, and what lies to the left, right, top and bottom."""

    name: str
    axis: int
    sides: tuple[str, str, str, str]


PLANES = (
    Plane("axial", 0, ("R", "L", "A", "P")),
    Plane("coronal", 1, ("R", "L", "S", "I")),
    Plane("sagittal", 2, ("A", "P", "S", "I")),
)
PICTURE = Plane("picture", 0, ("", "", "", ""))

Box = tuple[slice, slice]


def list_planes(shape: tuple[int, ...], *, physical: bool) -> tuple[Plane, ...]:
    """The planes in which a canonical volume of ``shape`` (Z, Y, X) can be looked at; a picture has one."""
    if not physical:
        return (PICTURE,)
    wide = tuple(plane for plane in PLANES if min(size for at, size in enumerate(shape) if at != plane.axis) > 1)
    return wide or PLANES[:1]


def face_viewer(plane: Plane, part: NDArray[Any]) -> NDArray[Any]:
    """A slice of the canonical volume (one voxel thick along the plane's axis) as rows and columns of the picture."""
    flat = part[(slice(None),) * plane.axis + (0,)]
    return flat if plane is PICTURE else flat[::-1, ::-1]


def find_pixel_size(plane: Plane, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Height and width of a pixel in millimetres, from the canonical ``spacing`` (z, y, x)."""
    height, width = (size for at, size in enumerate(spacing) if at != plane.axis)
    return height, width


def choose_slice(changed: NDArray[np.bool_], foreground: NDArray[np.bool_] | None, axis: int) -> int:
    """The slice along ``axis`` in which most voxels changed; where none did, the one with most foreground, else the middle.

    Both masks are canonical ``[Z, Y, X]``.
    """
    others = tuple(at for at in range(3) if at != axis)
    for mask in (changed, foreground):
        counts = np.zeros(1) if mask is None else np.count_nonzero(mask, axis=others)
        if counts.any():
            return int(counts.argmax())
    return int(changed.shape[axis]) // 2


def frame_region(mask: NDArray[np.bool_], pixel: tuple[float, float], *, share: float = 0.35) -> Box:
    """The rows and columns of a picture around ``mask`` ``[H, W]``, with a margin of ``share`` of its size; all where it is empty.

    ``pixel``: height and width of a pixel in millimetres, so that thick slices get no more surroundings than thin ones.
    """
    ranges = []
    for at in (0, 1):
        held = np.flatnonzero(mask.any(axis=1 - at))
        if not held.size:
            return slice(0, mask.shape[0]), slice(0, mask.shape[1])
        first, last = int(held[0]), int(held[-1]) + 1
        margin = max(round(LEAST_MARGIN * min(pixel) / pixel[at]), round(share * (last - first)), 1)
        ranges.append(slice(max(0, first - margin), min(mask.shape[at], last + margin)))
    return ranges[0], ranges[1]


def fit_size(shape: tuple[int, int], pixel: tuple[float, float], side: int) -> tuple[int, int]:
    """Height and width in output pixels of a picture of ``shape`` whose longer side in millimetres becomes ``side``.

    >>> fit_size((10, 20), (3.0, 1.0), 240)
    (240, 160)
    """
    height, width = shape[0] * pixel[0], shape[1] * pixel[1]
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))
