"""NRRD, MHA and MHD: what SimpleITK wrote is read, what is written SimpleITK reads, and headers are not believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from adelecli.errors import CaseError
from adelecli.volumes.cases import Case
from adelecli.volumes.geometry import Geometry
from adelecli.volumes.hashing import hash_file
from adelecli.volumes.itk import read_itk, read_itk_geometry
from adelecli.volumes.reading import read_image, read_labels
from adelecli.volumes.writing import write_image, write_labels

BLOCK = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 3


def save(path: Path, array: np.ndarray = BLOCK, *, compress: bool = True, vector: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing((0.5, 1.0, 2.5))
    image.SetOrigin((3.0, -4.0, 5.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))  # left-handed
    sitk.WriteImage(image, str(path), compress)
    return image


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_voxels_and_places_are_those_of_itk(tmp_path: Path, ending: str, compress: bool) -> None:
    """Raw and gzip, a left-handed direction, LPS turned into RAS."""
    image = save(tmp_path / f"a{ending}", compress=compress)
    volume = read_image(Case("a", (tmp_path / f"a{ending}",)))
    np.testing.assert_array_equal(volume.array[0], BLOCK)
    assert volume.array.dtype == np.int16
    place = np.array([*image.TransformIndexToPhysicalPoint((3, 1, 1)), 1]) * (-1, -1, 1, 1)
    np.testing.assert_allclose(volume.geometry.affine @ (3, 1, 1, 1), place, atol=1e-12)
    assert volume.geometry.spacing == (2.5, 1.0, 0.5)
    assert read_itk_geometry(tmp_path / f"a{ending}").describe_difference(volume.geometry, 0.0) is None


def test_components_are_channels_and_no_labels(tmp_path: Path) -> None:
    """A vector image is an image of channels; as a mask it is refused."""
    array = np.stack([BLOCK, BLOCK + 100], axis=-1)
    save(tmp_path / "a.mha", array, vector=True)
    np.testing.assert_array_equal(read_itk(tmp_path / "a.mha")[0], np.moveaxis(array, -1, 0))
    with pytest.raises(CaseError, match="not one label per voxel"):
        read_labels(tmp_path / "a.mha")


@settings(max_examples=25, deadline=None)
@given(
    angles=st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    spacing=st.lists(st.floats(0.1, 9), min_size=3, max_size=3),
    flip=st.sampled_from([1.0, -1.0]),
)
def test_any_volume_comes_back_from_both_formats(
    tmp_path_factory: pytest.TempPathFactory, angles: list[float], spacing: list[float], flip: float
) -> None:
    """Labels and affine, oblique and left-handed ones too, within a thousandth of the tolerance."""
    affine = np.eye(4)
    affine[:3, :3] = (
        Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.array(spacing) @ np.diag([flip, 1, 1])
    )
    affine[:3, 3] = (7, -40, 12)
    geometry, labels = Geometry((2, 3, 4), affine), (np.arange(24).reshape(2, 3, 4) * 20).astype(np.uint16)
    folder = tmp_path_factory.mktemp("itk")
    for ending in (".nrrd", ".mha"):
        write_labels(folder / f"a{ending}", labels, geometry)
        back = read_labels(folder / f"a{ending}")
        np.testing.assert_array_equal(back.array, labels)
        assert geometry.describe_difference(back.geometry, 1e-5) is None
    assert [path.name for path in sorted(folder.iterdir())] == ["a.mha", "a.nrrd"]


def test_maps_are_written_as_float32(tmp_path: Path) -> None:
    """A confidence keeps its values."""
    write_image(tmp_path / "c.nrrd", np.full((2, 3, 4), 0.25), Geometry((2, 3, 4), np.eye(4)))
    array, _ = read_itk(tmp_path / "c.nrrd")
    assert (array.dtype, array.min(), array.max()) == (np.float32, 0.25, 0.25)


def test_headers_that_promise_too_much_or_point_elsewhere_are_refused(tmp_path: Path) -> None:
    """A size beyond the file, a data file in another folder, a missing one, a list of files, no header at all."""
    save(tmp_path / "a.mhd", compress=False)
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "big.mhd").write_text(text.replace("DimSize = 4 3 2", "DimSize = 1000000 1000000 1000000"))
    with pytest.raises(CaseError, match="shorter than its header says"):
        read_itk(tmp_path / "big.mhd")
    for name in ("../a.raw", "/etc/passwd", "gone.raw", "LIST", "LOCAL"):
        (tmp_path / "b.mhd").write_text(text.replace("a.raw", name))
        with pytest.raises(CaseError, match="its voxels are not in a file beside it"):
            read_itk(tmp_path / "b.mhd")
    (tmp_path / "c.nrrd").write_bytes(b"NRRD0004\ntype: uchar\ndimension: 1\ndata file: ../x\n\n")
    with pytest.raises(CaseError, match="its voxels are not in a file beside it"):
        read_itk(tmp_path / "c.nrrd")
    (tmp_path / "d.nrrd").write_bytes(b"nothing of the kind")
    with pytest.raises(CaseError, match="cannot be read as NRRD or MetaImage"):
        read_itk(tmp_path / "d.nrrd")
    save(tmp_path / "e.mha")
    (tmp_path / "e.mha").write_bytes((tmp_path / "e.mha").read_bytes()[:-9])
    with pytest.raises(CaseError, match="cannot be read as NRRD or MetaImage"):
        read_itk(tmp_path / "e.mha")


def test_the_hash_covers_the_voxels_beside_the_header(tmp_path: Path) -> None:
    """An MHD whose raw file changed is another input."""
    save(tmp_path / "a.mhd", compress=False)
    before = hash_file(tmp_path / "a.mhd")
    data = bytearray((tmp_path / "a.raw").read_bytes())
    data[0] ^= 1
    (tmp_path / "a.raw").write_bytes(data)
    assert hash_file(tmp_path / "a.mhd") != before
