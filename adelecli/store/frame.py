"""Where a volume lies in the world, as the store needs to know it.

The store does not know the volumes room, so this small record is all that passes between them: enough to write OME
metadata for viewers, and the source's raw header, so that `convert` gives back exactly the geometry that came in. The
arrays beside it are always on the source grid (the file's own axes, reversed to z, y, x, without flips).
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

from adelecli.errors import CaseError

LONGEST_HEADER = 1 << 20
"""Bytes; a raw NIfTI header with its extensions is shorter."""

Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Geometry and origin of one volume ``[Z, Y, X]``.

    ``affine_ras`` maps voxel ``(x, y, z)`` to RAS+ millimetres (4x4, row by row); ``spacing_mm`` is the voxel size
    along ``(z, y, x)``; ``header`` the raw NIfTI header (348 or 540 bytes) or None; ``kind`` is ``"nifti"`` or
    ``"raster"``; ``suffix`` the ending of the source file (``".nii.gz"``, ``".png"``). Raises ``CaseError`` unless the
    spacing is positive and the affine finite: OME-Zarr allows no other.
    """

    affine_ras: tuple[Row, Row, Row, Row]
    spacing_mm: tuple[float, float, float]
    header: bytes | None = None
    kind: str = "nifti"
    suffix: str = ".nii.gz"

    def __post_init__(self) -> None:
        numbers = (*self.spacing_mm, *(value for row in self.affine_ras for value in row))
        if not all(map(math.isfinite, numbers)) or min(self.spacing_mm) <= 0:
            fact = f"has the voxel spacing {self.spacing_mm} mm, which no store can hold"
            raise CaseError(fact, remedy="repair the geometry in its header")

    def describe_header(self) -> dict[str, str | None]:
        """What a label image says of ``header``: ``nifti_header`` (base64) and ``nifti_sha256``; both None without one."""
        if not self.header:
            return {"nifti_header": None, "nifti_sha256": None}
        text = base64.b64encode(self.header).decode("ascii")
        return {"nifti_header": text, "nifti_sha256": hashlib.sha256(self.header).hexdigest()}

    @property
    def is_physical(self) -> bool:
        """Whether ``spacing_mm`` is a measured length; the pixels of a picture have none."""
        return self.kind != "raster"


def decode_header(text: object) -> bytes:
    """The raw header that ``Frame.describe_header`` wrote as ``nifti_header``; ``ValueError`` for anything else."""
    if not isinstance(text, str) or len(text) > 2 * LONGEST_HEADER:
        raise ValueError("its raw header is none")
    return base64.b64decode(text, validate=True)


def build_frame(
    affine: Any, spacing: Sequence[float], *, header: bytes | None = None, kind: str = "nifti", file_name: str = ""
) -> Frame:
    """The frame of a volume whose ``affine`` (4x4) and ``spacing`` (z, y, x) are given; ``file_name`` names its source file."""
    rows = cast("tuple[Row, Row, Row, Row]", tuple(tuple(float(value) for value in row) for row in affine))
    lower = file_name.lower()
    suffix = ".nii.gz" if lower.endswith(".nii.gz") else "." + lower.rpartition(".")[2] if "." in lower else ".nii.gz"
    return Frame(rows, (float(spacing[0]), float(spacing[1]), float(spacing[2])), header, kind, suffix)
