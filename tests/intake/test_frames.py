"""Geometry and classes on their way into the store and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adelecli.intake.frames import make_frame, restore_geometry
from adelecli.labels.classes import ClassTable
from adelecli.labels.entries import list_entries, rebuild_table
from adelecli.volumes.geometry import Geometry, make_raster_geometry

AFFINE = np.array([[-1.0, 0.1, 0, 5], [0, 2, 0, -3], [0, 0, 3, 9], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("geometry", "name", "suffix"),
    [
        (Geometry((4, 5, 6), AFFINE, "nifti", bytes(348)), "a.b.nii.gz", ".nii.gz"),
        (Geometry((4, 5, 6), AFFINE, "nifti", bytes(348)), "A.NII", ".nii"),
        (make_raster_geometry((1, 5, 6)), "p.PNG", ".png"),
    ],
)
def test_a_geometry_comes_back_exactly(geometry, name, suffix) -> None:
    """Shape, affine, kind and header; and the ending of the file."""
    frame = make_frame(geometry, Path(name))
    back = restore_geometry(frame, geometry.shape)
    assert geometry.describe_difference(back, 0.0) is None
    assert (back.kind, back.header, back.shape, frame.suffix) == (
        geometry.kind,
        geometry.header,
        geometry.shape,
        suffix,
    )
    np.testing.assert_array_equal(back.affine, geometry.affine)


@pytest.mark.parametrize("ignore", [255, 99, None])
def test_a_class_table_comes_back_with_its_ignore_label(ignore) -> None:
    """Ids, names, colours and the ignore id; where nothing is ignored, 255 is by convention."""
    table = ClassTable((0, 7, 300), ("background", "liver", "spleen"), ignore)
    back = rebuild_table(list_entries(table))
    assert (back.ids, back.names, back.colours) == (table.ids, table.names, table.colours)
    assert back.ignore == (255 if ignore is None else ignore)
