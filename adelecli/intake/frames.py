"""The geometry of a case on its way from ``volumes`` into the store and back: two rooms that do not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from adelecli.store.frame import Frame, build_frame
from adelecli.volumes.geometry import Geometry

if TYPE_CHECKING:
    from pathlib import Path


def make_frame(geometry: Geometry, path: Path) -> Frame:
    """What the store keeps of ``geometry`` and of the ending of the file ``path`` that it came from."""
    return build_frame(
        geometry.affine, geometry.spacing, header=geometry.header, kind=geometry.kind, file_name=path.name
    )


def restore_geometry(frame: Frame, shape: tuple[int, ...]) -> Geometry:
    """The geometry of an array ``[Z, Y, X]`` of ``shape`` that the store keeps with ``frame``."""
    kind = cast("Literal['nifti', 'raster']", frame.kind)
    return Geometry(
        shape=(shape[0], shape[1], shape[2]), affine=np.array(frame.affine_ras), kind=kind, header=frame.header
    )
