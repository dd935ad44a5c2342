"""Geometry records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adelecli.errors import CaseError
from adelecli.store.frame import Frame


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_impossible_spacing_fails_the_case(frame: Frame, spacing: tuple[float, float, float]) -> None:
    """OME-Zarr wants positive finite scales; a header without them costs its case, not the batch."""
    with pytest.raises(CaseError, match="voxel spacing"):
        replace(frame, spacing_mm=spacing)


def test_pictures_have_no_millimetres(frame: Frame, picture_frame: Frame) -> None:
    """Only a scanner's voxels are physical."""
    assert frame.is_physical
    assert not picture_frame.is_physical
