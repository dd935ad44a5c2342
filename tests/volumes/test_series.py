"""DICOM series: voxels and geometry as SimpleITK has them, and every irregularity refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import ORIGIN, write_series

from adelecli.errors import CaseError
from adelecli.volumes.cases import Case, list_images, pair_cases
from adelecli.volumes.hashing import hash_file
from adelecli.volumes.reading import read_geometry, read_image, read_labels
from adelecli.volumes.series import read_series, read_series_geometry

SLICES = np.arange(3 * 4 * 5).reshape(3, 4, 5) * 7
CT = Path(__file__).parents[2] / ".." / "shared" / "data" / "totalsegmentator_example_ct_3d" / "dicom_ct_small"
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)


def read_with_itk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def compare_in_the_world(folder: Path) -> None:
    """Every voxel of ITK's image has the same value at the same place (LPS) in ours."""
    theirs = read_with_itk(folder)
    array, geometry = read_series(folder)
    inverse = np.linalg.inv(geometry.affine)
    values = sitk.GetArrayFromImage(theirs)
    for z, y, x in np.ndindex(*values.shape) if values.size < 100 else [(0, 0, 0), (1, 17, 300), (3, 511, 2)]:
        place = np.array([*theirs.TransformIndexToPhysicalPoint((x, y, z)), 1.0]) * (-1, -1, 1, 1)
        i, j, k = (round(v) for v in (inverse @ place)[:3])
        assert array[0, k, j, i] == values[z, y, x]
        np.testing.assert_allclose(geometry.affine @ (i, j, k, 1), place, atol=1e-3)


@pytest.mark.parametrize(
    "orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0), OBLIQUE]
)
def test_every_voxel_lies_where_itk_has_it(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """Axial, sagittal, coronal, flipped and oblique, with pixels that are not square and file names out of order."""
    write_series(tmp_path / "s", SLICES, orientation=orientation)
    compare_in_the_world(tmp_path / "s")
    full, header = read_series(tmp_path / "s")[1], read_series_geometry(tmp_path / "s")
    assert full.describe_difference(header, 0.0) is None


def test_values_are_in_modality_units(tmp_path: Path) -> None:
    """Hounsfield units as whole numbers; MR with a fractional slope as float32."""
    write_series(tmp_path / "ct", SLICES)
    ct = read_series(tmp_path / "ct")[0]
    assert (ct.shape, ct.dtype) == ((1, 3, 4, 5), np.int16)
    assert sorted(ct.reshape(-1).tolist()) == sorted((SLICES - 1024).reshape(-1).tolist())
    write_series(tmp_path / "mr", SLICES, modality="MR", slope=0.5, intercept=0)
    mr = read_series(tmp_path / "mr")[0]
    assert mr.dtype == np.float32
    np.testing.assert_array_equal(np.sort(mr.reshape(-1)), np.sort(SLICES.reshape(-1)) * np.float32(0.5))


@pytest.mark.parametrize(
    ("heights", "fact"),
    [((0, 1, 3), "no regular volume"), ((0, 1, 1), "no regular volume"), ((0, 1, 2.2), "no regular volume")],
)
def test_missing_doubled_and_shifted_slices_are_refused(tmp_path: Path, heights: tuple[float, ...], fact: str) -> None:
    """Not one of them may become a volume of another size."""
    write_series(tmp_path / "s", SLICES, positions=[(*ORIGIN[:2], ORIGIN[2] + 2.5 * height) for height in heights])
    for read in (read_series, read_series_geometry):
        with pytest.raises(CaseError, match=fact):
            read(tmp_path / "s")


def test_tilted_and_mixed_files_are_refused(tmp_path: Path) -> None:
    """A gantry tilt shears the volume; files of two sizes are no volume; messages name no patient."""
    write_series(tmp_path / "tilt", SLICES, positions=[(-20, 7 + number, 100 + 2.5 * number) for number in range(3)])
    with pytest.raises(CaseError, match="tilted") as refused:
        read_series(tmp_path / "tilt")
    assert "Secret" not in str(refused.value)
    write_series(tmp_path / "sizes", SLICES)
    one = next(iter((tmp_path / "sizes").iterdir()))
    dataset = pydicom.dcmread(one)
    dataset.PixelSpacing = [9, 9]
    dataset.save_as(one)
    with pytest.raises(CaseError, match="differ in PixelSpacing"):
        read_series(tmp_path / "sizes")


def test_damaged_files_are_case_errors(tmp_path: Path) -> None:
    """Cut off, emptied or overwritten: one line, and the case is lost alone."""
    write_series(tmp_path / "s", SLICES)
    files = sorted((tmp_path / "s").iterdir())
    files[1].write_bytes(files[1].read_bytes()[:-30])
    with pytest.raises(CaseError, match=r"slice\d+\.dcm: (is shorter|cannot be read)"):
        read_series(tmp_path / "s")
    files[1].write_bytes(b"no DICOM at all")
    with pytest.raises(CaseError, match="cannot be read as a DICOM series"):
        read_series(tmp_path / "s")


def test_one_folder_a_case_or_all_in_one_folder(tmp_path: Path) -> None:
    """Folders give their names as ids, a shared folder the SeriesInstanceUIDs; MR and CT may be mixed."""
    write_series(tmp_path / "images" / "p1", SLICES)
    write_series(tmp_path / "images" / "p2", SLICES, modality="MR")
    (tmp_path / "images" / "notes").mkdir()
    assert [case.id for case in list_images(tmp_path / "images").cases] == ["p1", "p2"]
    first = write_series(tmp_path / "mixed", SLICES, prefix="a")
    second = write_series(tmp_path / "mixed", SLICES[:2] + 1, prefix="b")
    cases = list_images(tmp_path / "mixed").cases
    assert {case.id for case in cases} == {first, second}
    by_id = {case.id: case for case in cases}
    assert read_image(by_id[first]).array.shape == (1, 3, 4, 5)
    assert read_image(by_id[second]).array.shape == (1, 2, 4, 5)
    assert read_geometry(by_id[second].images[0]).shape == (2, 4, 5)
    with pytest.raises(CaseError, match="holds 2 series"):
        read_series(tmp_path / "mixed")
    with pytest.raises(CaseError, match="there is no such file or series"):
        read_series(tmp_path / "mixed" / "1.2.3")


def test_a_mask_file_pairs_with_the_only_series(tmp_path: Path) -> None:
    """One mask and one series belong together by hand, whatever their names; several by id."""
    uid = write_series(tmp_path / "scan", SLICES)
    (tmp_path / "m.nii.gz").touch()
    pairing = pair_cases(tmp_path / "m.nii.gz", tmp_path / "scan")
    assert pairing.cases == (Case("m", (tmp_path / "scan" / uid,), tmp_path / "m.nii.gz"),)


def test_the_hash_follows_the_content_and_not_the_names(tmp_path: Path) -> None:
    """Renamed files are the same series; one changed byte is another."""
    uid = write_series(tmp_path / "a", SLICES)
    before = hash_file(tmp_path / "a")
    assert hash_file(tmp_path / "a" / uid) == before
    files = sorted((tmp_path / "a").iterdir())
    files[0].rename(tmp_path / "a" / "zzz")  # without an ending it is known by its first bytes
    assert hash_file(tmp_path / "a") == before
    data = bytearray(files[1].read_bytes())
    data[-1] ^= 1
    files[1].write_bytes(data)
    assert hash_file(tmp_path / "a") != before


def test_an_image_is_no_mask_and_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CT among the masks is refused; without pydicom the error says what to install."""
    write_series(tmp_path / "s", SLICES[:1])
    with pytest.raises(CaseError, match="not a Segmentation"):
        read_labels(tmp_path / "s")

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("adelecli.volumes.extras.import_module", refuse)
    with pytest.raises(CaseError, match=r"needs pydicom.*pip install 'adele\[dicom\]'"):
        read_series(tmp_path / "s")


@pytest.mark.skipif(not CT.is_dir(), reason="shared/data/totalsegmentator_example_ct_3d is not here")
def test_a_real_series_with_blanked_uids_is_read() -> None:
    """JPEG 2000, 12 bits, UIDs removed by an anonymiser: the values and places of ITK."""
    compare_in_the_world(CT)
    assert [case.id for case in list_images(CT).cases] == ["dicom_ct_small"]
