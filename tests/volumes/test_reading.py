from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from adelecli.errors import CaseError
from adelecli.volumes.cases import Case
from adelecli.volumes.geometry import Geometry
from adelecli.volumes.hashing import hash_file
from adelecli.volumes.reading import check_finite, check_pair, read_geometry, read_image, read_labels

Save = Callable[..., Path]
BLOCK = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)  # (x, y, z)


def read_one(path: Path) -> np.ndarray:
    return read_image(Case("c", (path,))).array


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_image_keeps_its_dtype_and_its_voxels(save_volume: Save, dtype: str, ending: str) -> None:
    """Voxels come out as [C, Z, Y, X] with axes reversed and nothing else changed, in native byte order."""
    volume = read_image(Case("c", (save_volume(f"a{ending}", BLOCK.astype(dtype)),)))
    assert volume.array.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(volume.array, BLOCK.T[None])
    assert volume.geometry.shape == (4, 3, 2)
    assert volume.geometry.spacing == (3.0, 2.0, 1.0)


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    """Scanners of the nineties wrote the other byte order, in header and voxels."""
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(BLOCK.astype(">i2"), np.diag([1, 2, 3, 1]), header), tmp_path / "a.nii")
    volume = read_image(Case("c", (tmp_path / "a.nii",)))
    np.testing.assert_array_equal(volume.array[0], BLOCK.T)
    assert volume.geometry.header is not None
    assert int.from_bytes(volume.geometry.header[:4], "big") == 348


def test_a_scaled_image_becomes_float32(save_volume: Save) -> None:
    """The voxels are slope * stored + intercept, as the header says, without float64 on the way out."""
    path = save_volume("a.nii.gz", BLOCK.astype(np.int16))
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[112:120] = np.array([0.5, -10], "<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(gzip.compress(raw))
    array = read_one(path)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[0], BLOCK.T * 0.5 - 10)


@pytest.mark.parametrize("shape", [(2, 3, 4, 2), (2, 3, 4, 1, 2)])
def test_trailing_axes_are_channels(save_volume: Save, shape: tuple[int, ...]) -> None:
    """Decathlon puts channels on the fourth axis, vector images on the fifth."""
    stack = np.arange(48, dtype=np.float32).reshape(shape)
    array = read_one(save_volume("a.nii.gz", stack))
    assert array.shape == (2, 4, 3, 2)
    np.testing.assert_array_equal(array[1], stack.reshape(2, 3, 4, 2)[..., 1].T)


def test_two_dimensional_volumes_have_one_slice(save_volume: Save) -> None:
    """(x, y) and (x, y, z, 1) files are volumes."""
    assert read_one(save_volume("a.nii", BLOCK[:, :, 0])).shape == (1, 1, 3, 2)
    assert read_one(save_volume("b.nii", BLOCK[..., None])).shape == (1, 4, 3, 2)
    assert read_labels(save_volume("c.nii", BLOCK[..., None])).array.shape == (4, 3, 2)


def test_channel_files_are_stacked_in_order(save_volume: Save) -> None:
    """The order of ``Case.images`` is the order of channels; other grids are refused by name."""
    first, second = save_volume("a_0000.nii", BLOCK), save_volume("a_0001.nii", BLOCK + 100)
    np.testing.assert_array_equal(read_image(Case("a", (first, second))).array[:, 0, 0, 0], [0, 100])
    moved = save_volume("a_0002.nii", BLOCK, np.diag([1.0, 2, 4, 1]))
    with pytest.raises(CaseError, match=r"a_0002\.nii: does not lie on the grid of .*a_0000\.nii: the affines put"):
        read_image(Case("a", (first, moved)))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("uint8", "uint8"), ("int16", "uint8"), ("int64", "uint8"), ("float32", "uint8"), ("uint16", "uint16")],
)
def test_labels_are_integers_whatever_the_file_holds(save_volume: Save, stored: str, expected: str) -> None:
    """A float mask with whole numbers is a mask; uint16 stays what it is."""
    path = save_volume("a.nii", BLOCK)
    image = nib.Nifti1Image(BLOCK.astype(stored), np.eye(4), dtype=stored)
    nib.save(image, path)
    labels = read_labels(path)
    assert labels.array.dtype == expected
    np.testing.assert_array_equal(labels.array, BLOCK.T)


def test_labels_above_255_become_uint16(save_volume: Save) -> None:
    """Ids may have gaps and exceed one byte."""
    labels = read_labels(save_volume("a.nii", np.array([[[0, 300, 65535]]], np.int32)))
    assert labels.array.dtype == np.uint16
    assert labels.array.ravel().tolist() == [0, 300, 65535]


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (1.5, r"label 1\.5 at z=2, y=1, x=0 is not a whole number \(1 such voxels\)"),
        (np.nan, "label nan at z=2, y=1, x=0 is not a whole number"),
        (np.inf, "label inf at z=2, y=1, x=0 is not a whole number"),
        (-1.0, r"label -1\.0 at z=2, y=1, x=0 is outside 0\.\.65535"),
        (70000.0, r"label 70000\.0 at z=2, y=1, x=0 is outside"),
    ],
)
def test_values_that_are_no_labels_are_refused_with_their_place(save_volume: Save, value: float, fact: str) -> None:
    """Nothing is rounded or clipped: -1 is not class 65535, and 1.5 is neither 1 nor 2."""
    block = np.zeros((2, 3, 4), np.float32)
    block[0, 1, 2] = value
    with pytest.raises(CaseError, match=fact):
        read_labels(save_volume("a.nii.gz", block))


def test_an_image_taken_for_a_mask_is_told_what_else_may_be_wrong(save_volume: Save) -> None:
    """Images and masks are exchanged easily, and saving the image with integers would be the wrong remedy."""
    path = save_volume("image.nii", np.full((2, 3, 4), 0.5, np.float32))
    with pytest.raises(
        CaseError, match=r"label 0\.5 at .* is not a whole number .* if this is an image, exchange masks and images"
    ):
        read_labels(path)


def test_negative_integers_are_refused(save_volume: Save) -> None:
    """-1 in an int16 mask is an error, not class K-1."""
    block = np.zeros((2, 3, 4), np.int16)
    block[1, 2, 3] = -1
    with pytest.raises(CaseError, match=r"a\.nii: label -1 at z=3, y=2, x=1 is outside 0\.\.65535 \(1 such voxels\)"):
        read_labels(save_volume("a.nii", block))


def test_a_mask_with_channels_is_refused(save_volume: Save) -> None:
    """One voxel, one label."""
    with pytest.raises(CaseError, match=r"has 4 axes \(2x3x4x2\), not one label per voxel"):
        read_labels(save_volume("a.nii", np.zeros((2, 3, 4, 2), np.uint8)))
    with pytest.raises(CaseError, match="has 5 axes, more than one of them beside x, y, z"):
        read_one(save_volume("b.nii", np.zeros((2, 3, 4, 2, 2), np.uint8)))


def test_the_header_alone_gives_the_geometry(save_volume: Save, save_picture: Save) -> None:
    """``check`` can look at a thousand cases without reading a voxel, even of a file cut off after its header."""
    path = save_volume("a.nii", BLOCK)
    full = read_labels(path).geometry
    path.write_bytes(path.read_bytes()[:352])
    geometry = read_geometry(path)
    assert (geometry.shape, geometry.header) == (full.shape, full.header)
    np.testing.assert_array_equal(geometry.affine, full.affine)
    assert read_geometry(save_picture("b.png", BLOCK[0])).shape == (1, 3, 4)


def test_a_pair_that_does_not_match_names_both_files() -> None:
    """Shape, then affine; the mask is blamed, the image named."""
    case = Case("c", (Path("images/c.nii"),), Path("masks/c.nii"))
    image = Geometry((4, 3, 2), np.eye(4))
    check_pair(image, Geometry((4, 3, 2), np.eye(4)), case)
    with pytest.raises(
        CaseError, match=r"masks/c\.nii: does not match its image images/c\.nii: shape 2x3x4 against 5x3x4"
    ):
        check_pair(image, Geometry((4, 3, 5), np.eye(4)), case)
    with pytest.raises(CaseError, match=r"masks/c\.nii: does not match .*apart \(RAS against LAS\)"):
        check_pair(image, Geometry((4, 3, 2), np.diag([-1.0, 1, 1, 1])), case)


def test_values_that_are_not_finite_are_counted() -> None:
    """NaN and infinity fail with their number; integers cannot hold them."""
    image = np.zeros((1, 2, 3, 4), np.float32)
    check_finite(image)
    check_finite(image.astype(np.int16))
    image[0, 0, 0, :3] = (np.nan, np.inf, -np.inf)
    with pytest.raises(CaseError, match=r"scan\.nii: 3 of 24 voxels are NaN or infinite"):
        check_finite(image, path="scan.nii")


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    """sha256 in hex; a file that is gone is a case error."""
    path = tmp_path / "a"
    path.write_bytes(b"adele" * 100_000)
    assert hash_file(path) == hashlib.sha256(b"adele" * 100_000).hexdigest()
    with pytest.raises(CaseError, match="there is no such file"):
        hash_file(tmp_path / "b")


def test_unknown_endings_are_refused(tmp_path: Path) -> None:
    """A path that no reader serves is told which ones there are."""
    for read in (read_labels, read_geometry, read_one):
        with pytest.raises(CaseError, match=r"a\.xyz: has an unknown ending; use \.nii\.gz"):
            read(tmp_path / "a.xyz")


def find_real_sets() -> list[Any]:
    root = Path(__file__).parents[3] / "shared" / "data"
    names = ("msd_hippocampus_3d", "openkbp_headneck_ct_3d", "totalsegmentator_example_ct_3d")
    skip = pytest.mark.skip(reason="no real data on this machine")
    return [pytest.param(root / name, id=name, marks=() if (root / name).is_dir() else skip) for name in names]


@pytest.mark.parametrize("folder", find_real_sets())
def test_real_volumes_are_read_as_nibabel_reads_them(folder: Path) -> None:
    """The first cases of each real data set: same voxels, same canonical grid, image and mask on one grid."""
    from adelecli.volumes.cases import pair_cases

    for case in pair_cases(folder / "masks").cases[:6]:
        assert case.mask is not None
        volume, labels = read_image(case), read_labels(case.mask)
        check_pair(volume.geometry, labels.geometry, case)
        check_finite(volume.array)
        image, mask = nib.load(case.images[0]), nib.load(case.mask)
        np.testing.assert_array_equal(volume.array[0], np.asarray(image.dataobj).T)
        np.testing.assert_array_equal(
            labels.geometry.to_canonical(labels.array), np.asarray(nib.as_closest_canonical(mask).dataobj).T
        )
