from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from adelecli.volumes.geometry import Geometry, make_raster_geometry
from adelecli.volumes.nifti import encode_header, list_concerns, read_nifti, read_nifti_geometry, stored_dtype

Save = Callable[..., Path]
BLOCK = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_the_raw_header_travels_with_the_frame(save_volume: Save) -> None:
    """The bytes are those of the file, not what nibabel makes of them."""
    path = save_volume("a.nii", BLOCK)
    assert read_nifti_geometry(path).header == path.read_bytes()[:348]


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("meter", 1000.0), ("micron", 0.001), ("unknown", 1.0)])
def test_affines_are_in_millimetres_whatever_the_file_uses(save_volume: Save, unit: str, factor: float) -> None:
    """Microscopy files in micron and odd ones in metres must not be compared with millimetres."""
    geometry = read_nifti_geometry(save_volume("a.nii", BLOCK, edit=lambda header: header.set_xyzt_units(unit)))
    np.testing.assert_allclose(geometry.affine, np.diag([factor, 2 * factor, 3 * factor, 1]))


def test_the_ending_does_not_decide_about_compression(save_volume: Save, tmp_path: Path) -> None:
    """A gzip file named .nii and a plain one named .nii.gz are both read."""
    zipped, plain = save_volume("a.nii.gz", BLOCK), save_volume("b.nii", BLOCK)
    zipped.rename(tmp_path / "c.nii")
    plain.rename(tmp_path / "d.nii.gz")
    for path in (tmp_path / "c.nii", tmp_path / "d.nii.gz"):
        np.testing.assert_array_equal(read_nifti(path)[0], BLOCK.T)


def test_the_qform_serves_where_no_sform_is_set(save_volume: Save) -> None:
    """A qfac of 0 counts as 1 (NIfTI-1 standard, method 2), silently."""

    def drop_sform(header: Any) -> None:
        header.set_qform(np.diag([1.0, 2, 3, 1]), 1)
        header.set_sform(None, 0)

    path = save_volume("a.nii", BLOCK, None, None)
    image = nib.load(path)
    raw = bytearray(path.read_bytes())
    drop_sform(image.header)
    raw[:348] = image.header.binaryblock
    raw[76:80] = bytes(4)  # pixdim[0], the qfac
    raw[344:348] = b"n+1\0"
    raw[108:112] = np.float32(352).tobytes()
    path.write_bytes(raw)
    geometry = read_nifti_geometry(path)
    np.testing.assert_allclose(geometry.affine, np.diag([1, 2, 3, 1]))
    assert geometry.codes == "RAS"


def test_nifti_2_is_read_and_written(tmp_path: Path) -> None:
    """The 540-byte header of large volumes travels like the small one."""
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti2Image(BLOCK, np.diag([1, 2, 3, 1])), path)
    array, geometry = read_nifti(path)
    np.testing.assert_array_equal(array, BLOCK.T)
    start, _ = encode_header(geometry, np.dtype(np.uint8))
    assert start == path.read_bytes()[:544]


def test_a_header_is_made_where_there_is_none() -> None:
    """A phantom's affine becomes qform and sform in millimetres; a grid too large for NIfTI-1 gets NIfTI-2."""
    affine = np.array([[0, -2.0, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    start, dtype = encode_header(Geometry((4, 3, 2), affine), np.dtype(np.uint16))
    header = nib.Nifti1Header(start[:348])
    np.testing.assert_allclose(header.get_sform(), affine)
    np.testing.assert_allclose(header.get_qform(), affine, atol=1e-6)
    assert (header.get_data_shape(), header.get_xyzt_units()[0], dtype) == ((2, 3, 4), "mm", np.uint16)
    large, _ = encode_header(make_raster_geometry((1, 1, 40000)), np.dtype(np.uint8))
    assert nib.Nifti2Header(large[:540]).get_data_shape() == (40000, 1, 1)


def test_a_map_of_a_multichannel_image_has_three_axes(save_volume: Save) -> None:
    """The frame of a 4D image serves for its segmentation, without the channel axis."""
    geometry = read_nifti_geometry(save_volume("a.nii", np.zeros((2, 3, 4, 5), np.float32)))
    start, _ = encode_header(geometry, np.dtype(np.uint8))
    header = nib.Nifti1Header(start[:348])
    assert header.get_data_shape() == (2, 3, 4)
    np.testing.assert_array_equal(header.get_best_affine(), geometry.affine)


def test_the_stored_dtype_is_known(save_volume: Save) -> None:
    """What the source declares, or nothing for frames without header."""
    assert stored_dtype(read_nifti_geometry(save_volume("a.nii", BLOCK.astype(np.int16)))) == np.int16
    assert stored_dtype(make_raster_geometry((1, 2, 3))) is None


def test_suspicious_frames_are_reported(save_volume: Save) -> None:
    """Conflicting forms, shear and missing units are concerns, not errors; a clean frame and a raster have none."""

    def turn_qform(header: Any) -> None:
        header.set_qform(np.diag([-1.0, 2, 3, 1]), 1)

    def forget_unit(header: Any) -> None:
        header.set_xyzt_units("unknown")

    sheared = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert list_concerns(read_nifti_geometry(save_volume("a.nii", BLOCK))) == ()
    assert list_concerns(make_raster_geometry((1, 2, 3))) == ()
    (conflict,) = list_concerns(read_nifti_geometry(save_volume("b.nii", BLOCK, edit=turn_qform)))
    assert conflict.startswith("sform and qform disagree: the affines put a corner of the volume")
    concerns = list_concerns(read_nifti_geometry(save_volume("c.nii", BLOCK, sheared, forget_unit)))
    assert any("not at right angles (cosine 0.196)" in concern for concern in concerns)
    assert "its header names no unit; millimetres are assumed" in concerns
