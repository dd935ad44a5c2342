from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from adelecli.volumes.geometry import Geometry, make_raster_geometry

CODES = ["".join(sides) for axes in permutations(("LR", "PA", "IS")) for sides in product(*axes)]
SIZES = (2, 3, 4)  # x, y, z: all different, so that a wrong transpose cannot hide


def make_affine(codes: str, spacing: tuple[float, float, float] = (1.5, 2.0, 3.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), SIZES)[:3, :3]
    affine[:3, :3] = np.linalg.inv(affine[:3, :3]) @ np.eye(3) * np.array(spacing)
    affine[:3, 3] = (-11, 7, 5)
    return affine


def make_oblique(angles: list[float], spacing: list[float], codes: str) -> np.ndarray:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ (make_affine(codes, (1, 1, 1))[:3, :3] * np.array(spacing))
    affine[:3, 3] = (3, -40, 12)
    return affine


def compare_with_nibabel(affine: np.ndarray) -> Geometry:
    volume = np.arange(24, dtype=np.uint8).reshape(SIZES)
    source = volume.T
    geometry = Geometry((4, 3, 2), affine)
    reference = nib.as_closest_canonical(nib.Nifti1Image(volume, affine))
    canonical = geometry.to_canonical(source)
    np.testing.assert_array_equal(canonical, np.asarray(reference.dataobj).T)
    assert geometry.canonical_shape == canonical.shape
    np.testing.assert_allclose(geometry.canonical_spacing, nib.affines.voxel_sizes(reference.affine)[::-1], rtol=1e-6)
    assert np.shares_memory(canonical, volume)
    np.testing.assert_array_equal(geometry.from_canonical(canonical), source)
    return geometry


@pytest.mark.parametrize("codes", CODES)
def test_every_orientation_reaches_the_canonical_grid_of_nibabel_and_comes_back(codes: str) -> None:
    """Each of the 48 orientation codes is turned as nibabel turns it, without copying, and exactly back."""
    geometry = compare_with_nibabel(make_affine(codes))
    assert geometry.codes == codes
    assert geometry.spacing == (3.0, 2.0, 1.5)


def test_there_are_48_orientations() -> None:
    """The parametrised test above covers the whole group."""
    assert len(set(CODES)) == 48


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    st.lists(st.floats(0.2, 8), min_size=3, max_size=3),
    st.sampled_from(CODES),
)
def test_oblique_volumes_are_turned_as_nibabel_turns_them(
    angles: list[float], spacing: list[float], codes: str
) -> None:
    """Any rotation, voxel size and handedness ends on nibabel's closest canonical grid and comes back exactly."""
    compare_with_nibabel(make_oblique(angles, spacing, codes))


def test_leading_axes_stay_where_they_are() -> None:
    """Channels [C, Z, Y, X] are turned like each channel alone."""
    geometry = Geometry((4, 3, 2), make_affine("PLI"))
    channels = np.arange(48).reshape(2, 4, 3, 2)
    turned = geometry.to_canonical(channels)
    np.testing.assert_array_equal(turned[1], geometry.to_canonical(channels[1]))
    np.testing.assert_array_equal(geometry.from_canonical(turned), channels)


def test_a_raster_is_its_own_canonical_grid() -> None:
    """A picture is neither flipped nor transposed."""
    picture = np.arange(6).reshape(1, 2, 3)
    geometry = make_raster_geometry((1, 2, 3))
    np.testing.assert_array_equal(geometry.to_canonical(picture), picture)
    assert (geometry.spacing, geometry.codes, geometry.kind) == ((1.0, 1.0, 1.0), "RAS", "raster")


def test_frames_agree_up_to_a_hundredth_of_a_millimetre() -> None:
    """A shift of 0.009 mm is rounding, 0.011 mm is another grid."""
    frame = Geometry((10, 20, 30), make_affine("LPS"))
    for shift, agrees in ((0.0, True), (0.009, True), (0.011, False)):
        moved = frame.affine.copy()
        moved[1, 3] += shift
        assert (frame.describe_difference(Geometry(frame.shape, moved)) is None) == agrees


def test_a_small_difference_in_voxel_size_counts_at_the_farthest_corner() -> None:
    """0.001 mm per voxel is 0.3 mm at the far end of 300 voxels, even of a single slice."""
    frame = Geometry((1, 1, 300), np.eye(4))
    other = np.diag([1.001, 1, 1, 1])
    assert "0.299 mm" in str(frame.describe_difference(Geometry(frame.shape, other)))  # (300 - 0.5) * 0.001
    thicker = Geometry((1, 1, 300), np.diag([1, 1, 5.0, 1]))
    assert "2 mm" in str(frame.describe_difference(thicker))


def test_a_difference_is_told_in_words() -> None:
    """Shape comes first and in the order x, y, z; a flip names both orientations; kinds never agree."""
    frame = Geometry((4, 3, 2), make_affine("RAS"))
    assert frame.describe_difference(Geometry((4, 3, 5), frame.affine)) == "shape 2x3x4 against 5x3x4 (x, y, z)"
    assert "RAS against LAS" in str(frame.describe_difference(Geometry((4, 3, 2), make_affine("LAS"))))
    assert frame.describe_difference(make_raster_geometry((4, 3, 2))) == "a nifti file and a raster file"
    assert make_raster_geometry((1, 3, 2)).describe_difference(make_raster_geometry((1, 3, 2))) is None


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA", "AIL"])
def test_a_canonical_slice_is_found_on_the_source_grid(codes: str) -> None:
    """Reading only the region that ``locate_slice`` names, and turning it, gives the slice of the turned volume."""
    geometry = Geometry((4, 3, 2), make_affine(codes))
    source = np.arange(24).reshape(4, 3, 2)
    canonical = geometry.to_canonical(source)
    for axis in range(3):
        for index in range(canonical.shape[axis]):
            part = geometry.to_canonical(source[geometry.locate_slice(axis, index)])
            np.testing.assert_array_equal(part, canonical.take([index], axis=axis))
