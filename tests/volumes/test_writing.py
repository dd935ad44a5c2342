from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from adelecli.errors import OutputError
from adelecli.volumes.geometry import Geometry, make_raster_geometry
from adelecli.volumes.reading import read_image, read_labels
from adelecli.volumes.writing import write_image, write_labels

Save = Callable[..., Path]
BLOCK = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
OBLIQUE = np.array([[-0.9, 0.3, 0.1, 12], [0.2, 1.8, -0.5, -7], [0.1, 0.4, 2.9, 30], [0, 0, 0, 1.0]])


def decorate(header: Any) -> None:
    """Everything a careless writer would lose."""
    header.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    header.set_intent("label", (), "organs")
    header["descrip"], header["aux_file"], header["db_name"] = b"made by X", b"lut.txt", b"P0042"
    header["cal_max"], header["toffset"], header["slice_code"], header["sform_code"] = 7, 3.5, 2, 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_round_trip_is_byte_equal(save_volume: Save, tmp_path: Path, dtype: type, ending: str) -> None:
    """Units, qform, sform, intent, texts: a uint8 or uint16 mask read and written again is the same file, byte by byte."""
    source = save_volume(f"a{ending}", BLOCK.astype(dtype), OBLIQUE, decorate)
    labels = read_labels(source)
    write_labels(tmp_path / "out" / f"b{ending}", labels.array, labels.geometry)
    unpack = gzip.decompress if ending == ".nii.gz" else bytes
    assert unpack((tmp_path / "out" / f"b{ending}").read_bytes()) == unpack(source.read_bytes())


def test_header_extensions_travel_too(tmp_path: Path) -> None:
    """Comments and the like between header and voxels are part of the header."""
    image = nib.Nifti1Image(BLOCK, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"drawn by hand"))
    nib.save(image, tmp_path / "a.nii")
    labels = read_labels(tmp_path / "a.nii")
    write_labels(tmp_path / "b.nii", labels.array, labels.geometry)
    assert (tmp_path / "b.nii").read_bytes() == (tmp_path / "a.nii").read_bytes()


def test_big_endian_sources_stay_big_endian(tmp_path: Path) -> None:
    """Header and voxels keep one byte order."""
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">u2")
    nib.save(nib.Nifti1Image(BLOCK.astype(">u2"), np.eye(4), header), tmp_path / "a.nii")
    labels = read_labels(tmp_path / "a.nii")
    write_labels(tmp_path / "b.nii", labels.array, labels.geometry)
    assert (tmp_path / "b.nii").read_bytes() == (tmp_path / "a.nii").read_bytes()


def test_a_float_mask_comes_back_as_integers_under_its_header(save_volume: Save, tmp_path: Path) -> None:
    """Only what describes the voxels changes: data type, bits, and a scale of 1."""
    source = save_volume("a.nii", BLOCK.astype(np.float32), OBLIQUE, decorate)
    raw = bytearray(source.read_bytes())
    raw[112:120] = np.array([2, 0], "<f4").tobytes()  # stored values are half the labels
    source.write_bytes(raw)
    labels = read_labels(source)
    write_labels(tmp_path / "b.nii", labels.array, labels.geometry)
    before, after = (nib.Nifti1Header(path.read_bytes()[:348], check=False) for path in (source, tmp_path / "b.nii"))
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert changed == {"datatype", "bitpix", "scl_slope"}
    assert (after.get_data_dtype(), after.get_slope_inter()) == (np.uint8, (1.0, 0.0))
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "b.nii").dataobj), BLOCK * 2)


def test_labels_above_255_are_never_squeezed_into_a_byte(save_volume: Save, tmp_path: Path) -> None:
    """A correction that brings id 300 into a uint8 file makes it uint16."""
    geometry = read_labels(save_volume("a.nii", BLOCK)).geometry
    labels = np.full(geometry.shape, 300, np.uint16)
    write_labels(tmp_path / "b.nii.gz", labels, geometry)
    written = nib.load(tmp_path / "b.nii.gz")
    assert written.get_data_dtype() == np.uint16
    np.testing.assert_array_equal(np.asarray(written.dataobj), 300)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([255, 65535]),
    st.sampled_from([".nii", ".nii.gz", ".tif"]),
    st.integers(0, 2**32 - 1),
)
def test_any_labels_come_back(tmp_path: Path, shape: tuple[int, int, int], top: int, ending: str, seed: int) -> None:
    """Values and place survive every format, without a source header too."""
    labels = np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint16)
    geometry = make_raster_geometry(shape) if ending == ".tif" else Geometry(shape, OBLIQUE)
    write_labels(tmp_path / f"a{ending}", labels, geometry)
    back = read_labels(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(back.array, labels)
    assert geometry.describe_difference(back.geometry) is None


@pytest.mark.parametrize(("top", "mode"), [(255, "L"), (256, "I;16")])
def test_png_masks_have_eight_or_sixteen_bits(tmp_path: Path, top: int, mode: str) -> None:
    """As many bits as the largest label needs."""
    labels = np.array([[[0, 1], [2, top]]], np.uint16)
    write_labels(tmp_path / "a.png", labels, make_raster_geometry((1, 2, 2)))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").array, labels)


def test_maps_are_float32_in_nifti_and_grey_in_png(save_volume: Save, tmp_path: Path) -> None:
    """Confidence 0..1 keeps its value in NIfTI, under the mask's header, and becomes 0..255 in a picture."""
    geometry = read_labels(save_volume("a.nii", BLOCK, OBLIQUE, decorate)).geometry
    confidence = np.linspace(0, 1, 24).reshape(geometry.shape)
    write_image(tmp_path / "b.nii.gz", confidence, geometry)
    written = nib.load(tmp_path / "b.nii.gz")
    assert written.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(written.dataobj).T, confidence.astype(np.float32))
    np.testing.assert_allclose(written.affine, OBLIQUE, atol=1e-6)
    write_image(tmp_path / "b.png", np.array([[[0, 0.5, 1, 2, np.nan]]]), make_raster_geometry((1, 1, 5)))
    with Image.open(tmp_path / "b.png") as picture:
        assert np.asarray(picture).tolist() == [[0, 128, 255, 255, 0]]


def test_integer_images_keep_their_dtype(tmp_path: Path) -> None:
    """CT stays int16; a picture stays what it is."""
    image = BLOCK.astype(np.int16).T - 1000
    write_image(tmp_path / "a.nii.gz", image, Geometry((4, 3, 2), OBLIQUE))
    array = read_image_array(tmp_path / "a.nii.gz")
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array[0], image)
    write_image(tmp_path / "a.png", BLOCK[:1], make_raster_geometry((1, 3, 4)))
    np.testing.assert_array_equal(read_image_array(tmp_path / "a.png")[0], BLOCK[:1])


def read_image_array(path: Path) -> np.ndarray:
    from adelecli.volumes.cases import Case

    return read_image(Case("c", (path,))).array


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    """No clock and no name in the file, so results can be compared by hash."""
    geometry = Geometry((4, 3, 2), OBLIQUE)
    write_labels(tmp_path / "a.nii.gz", BLOCK.T, geometry)
    write_labels(tmp_path / "b.nii.gz", BLOCK.T, geometry)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_views_of_any_order_are_written(tmp_path: Path) -> None:
    """What ``from_canonical`` returns is a flipped, transposed view."""
    geometry = Geometry((4, 3, 2), np.diag([-1.0, -2, 3, 1]))
    view = geometry.from_canonical(geometry.to_canonical(BLOCK.T)[::1])[:, ::-1]
    write_labels(tmp_path / "a.nii", view, geometry)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii").array, BLOCK.T[:, ::-1])


@pytest.mark.parametrize(
    ("name", "labels", "fact"),
    [
        ("a.nii", np.zeros((4, 3, 2)), "float64 values are not labels"),
        ("a.nii", np.full((4, 3, 2), -1), "int64 values are not labels in 0..65535"),
        ("a.nii", np.full((4, 3, 2), 65536), "int64 values are not labels in 0..65535"),
        ("a.nii", np.zeros((4, 3, 3), np.uint8), r"shape \(4, 3, 3\) has no place on a grid of \(4, 3, 2\)"),
        ("a.png", np.zeros((4, 3, 2), np.uint8), "4 slices do not fit a PNG; write"),
        ("a.mhd", np.zeros((4, 3, 2), np.uint8), "has an ending that cannot be written; use"),
        ("a.jpg", np.zeros((4, 3, 2), np.uint8), "has an ending that cannot be written"),
        ("file/a.nii", np.zeros((4, 3, 2), np.uint8), "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_an_output_error(tmp_path: Path, name: str, labels: np.ndarray, fact: str) -> None:
    """Floats, negative ids, other shapes, endings and places that do not fit: one line, exit code 8, no file."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=fact):
        write_labels(tmp_path / name, labels, Geometry((4, 3, 2), np.eye(4)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_values_that_do_not_fit_a_picture_are_refused(tmp_path: Path) -> None:
    """CT values in a PNG would lose their sign."""
    with pytest.raises(OutputError, match=r"int16 values do not fit a picture; write \.nii\.gz instead"):
        write_image(tmp_path / "a.png", np.zeros((1, 2, 2), np.int16), make_raster_geometry((1, 2, 2)))


def find_real_masks() -> list[Path]:
    root = Path(__file__).parents[3] / "shared" / "data"
    return [path for folder in sorted(root.glob("*/masks")) for path in sorted(folder.glob("*.nii.gz"))[:8]]


@pytest.mark.skipif(not find_real_masks(), reason="no real data on this machine")
def test_real_masks_come_back_byte_equal(tmp_path: Path) -> None:
    """Hippocampus (RAS), head and neck (PLI), abdomen: every uint8 mask survives the trip through us unchanged."""
    checked = 0
    for path in find_real_masks():
        labels = read_labels(path)
        write_labels(tmp_path / path.name, labels.array, labels.geometry)
        if nib.load(path).get_data_dtype() == np.uint8:
            assert gzip.decompress((tmp_path / path.name).read_bytes()) == gzip.decompress(path.read_bytes())
            checked += 1
    assert checked >= 3
