from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from adelecli.volumes.cases import Case
from adelecli.volumes.geometry import Geometry, make_raster_geometry
from adelecli.volumes.reading import check_pair, read_labels
from adelecli.volumes.writing import write_labels

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


@settings(max_examples=30, deadline=None)
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


@settings(max_examples=30, deadline=None)
@given(
    angles=st.lists(st.floats(-40, 40), min_size=3, max_size=3),
    spacing=st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    codes=st.sampled_from(CODES),
    place=st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)),
)
def test_a_correction_on_the_canonical_grid_lands_on_its_own_voxel(
    tmp_path_factory: pytest.TempPathFactory,
    angles: list[float],
    spacing: list[float],
    codes: str,
    place: tuple[int, int, int],
) -> None:
    """Any oblique, flipped or left-handed grid: one voxel changed by its place in the patient changes there and nowhere else.

    The file in and the file out are nibabel's; the place is computed from nibabel's affines alone.
    """
    folder = tmp_path_factory.mktemp("grid")
    source = nib.Nifti1Image(np.zeros(SIZES, np.uint8), make_oblique(angles, spacing, codes))
    nib.save(source, folder / "in.nii.gz")
    labels = read_labels(folder / "in.nii.gz")
    canonical = labels.geometry.to_canonical(labels.array.copy())
    reference = nib.as_closest_canonical(nib.load(folder / "in.nii.gz"))
    z, y, x = (number % size for number, size in zip(place, canonical.shape, strict=True))
    canonical[z, y, x] = 3
    write_labels(folder / "out.nii.gz", labels.geometry.from_canonical(canonical), labels.geometry)
    written = nib.load(folder / "out.nii.gz")
    assert written.header.binaryblock == nib.load(folder / "in.nii.gz").header.binaryblock
    found = np.argwhere(np.asarray(written.dataobj) == 3)
    assert len(found) == 1
    np.testing.assert_allclose(
        nib.affines.apply_affine(written.affine, found[0]),
        nib.affines.apply_affine(reference.affine, (x, y, z)),
        atol=1e-4,
    )


@pytest.mark.parametrize("codes", CODES)
def test_the_canonical_frame_says_where_its_voxels_lie(codes: str) -> None:
    """Its affine is nibabel's for the reoriented volume, and a frame agrees with every reorientation of itself."""
    geometry = Geometry((4, 3, 2), make_oblique([10, -20, 5], [1, 2, 3], codes))
    reference = nib.as_closest_canonical(nib.Nifti1Image(np.zeros(SIZES, np.uint8), geometry.affine))
    np.testing.assert_allclose(geometry.canonical.affine, reference.affine, atol=1e-5)
    check_pair(geometry, geometry.canonical, Case("c", (Path("i"),), Path("m")))


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
