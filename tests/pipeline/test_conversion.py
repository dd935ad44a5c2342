"""``convert``: what another library reads back, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import zarr
from known_cases import make_noisy, make_truth
from PIL import Image

from adelecli.errors import ConfigError, InputError, OutputError
from adelecli.pipeline.comparison import evaluate
from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.volumes.reading import read_labels


@pytest.fixture
def store(data):
    """A corrected store of one LPS case, with its confidence."""
    data.add("case_1.2", codes="LPS")
    correct(data.masks, out=data.out, model=data.model, confidence_maps=True)
    return data.out


def test_nibabel_reads_the_header_of_the_source(data, store, tmp_path) -> None:
    """The header is the mask's own, byte by byte: affine, codes, units, description."""
    convert(store, out=tmp_path / "files")
    written, source = nib.load(tmp_path / "files" / "case_1.2.nii.gz"), nib.load(data.masks / "case_1.2.nii.gz")
    assert written.header.binaryblock == source.header.binaryblock
    assert nib.aff2axcodes(written.affine) == ("L", "P", "S")
    assert (written.dataobj.slope, written.dataobj.inter) == (1, 0)


def test_the_original_comes_back_byte_by_byte_in_its_voxels(data, store, tmp_path) -> None:
    """``original`` holds what went in."""
    convert(store, out=tmp_path / "files", which="original")
    written = np.asarray(nib.load(tmp_path / "files" / "case_1.2.nii.gz").dataobj)
    np.testing.assert_array_equal(written, np.asarray(nib.load(data.masks / "case_1.2.nii.gz").dataobj))


def test_the_change_map_and_the_confidence_come_as_files_too(store, tmp_path) -> None:
    """Change holds 0..3 with its own names, confidence is a float map in 0..1."""
    convert(store, out=tmp_path / "change", which="change")
    convert(store, out=tmp_path / "sure", which="confidence")
    changed = np.asarray(nib.load(tmp_path / "change" / "case_1.2.nii.gz").dataobj)
    assert np.bincount(changed.reshape(-1)).tolist() == [720 - 36, 24, 12]
    names = json.loads((tmp_path / "change" / "labels.json").read_text())["labels"]
    assert names["3"] == "relabelled"
    confidence = nib.load(tmp_path / "sure" / "case_1.2.nii.gz")
    assert confidence.get_data_dtype() == np.float32
    assert 0.9 < np.asarray(confidence.dataobj).min() <= np.asarray(confidence.dataobj).max() <= 1


def test_png_gives_one_picture_a_slice(store, tmp_path) -> None:
    """A volume becomes a folder of pictures on the source grid, in slice order."""
    conversion = convert(store, out=tmp_path / "files", format="png")
    files = conversion.cases[0].files
    assert [path.rpartition("_")[2] for path in files] == [f"z{index:04d}.png" for index in range(6)]
    np.testing.assert_array_equal(np.asarray(Image.open(files[2])), make_truth()[2, ::-1, ::-1])


def test_a_picture_can_become_nifti(data, tmp_path) -> None:
    """``format="nifti"`` for a picture gives a single slice with the identity as its affine."""
    data.images.mkdir(parents=True)
    data.masks.mkdir()
    Image.fromarray(make_truth()[2]).save(data.images / "p.png")
    Image.fromarray(make_noisy()[2]).save(data.masks / "p.png")
    correct(data.masks, out=data.out, model=data.model)
    convert(data.out, out=tmp_path / "files", format="nifti")
    image = nib.load(tmp_path / "files" / "p.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj)[..., 0].T, make_truth()[2])
    np.testing.assert_array_equal(image.affine, np.eye(4))


def test_labels_of_a_plain_zarr_come_back_as_one_file_that_is_read_as_what_they_were(data, tmp_path) -> None:
    """Slices without millimetres are the pages of a TIFF; compared with the zarr they came from they lie on the same grid."""
    for folder, values in ((data.images, make_truth().astype(np.float32)), (data.masks, make_noisy())):
        zarr.create_array(folder / "p.zarr", data=values)
    correct(data.masks, out=data.out, model=data.model)
    (case,) = convert(data.out, out=tmp_path / "files").cases
    assert [Path(file).name for file in case.files] == ["p.tif"]
    np.testing.assert_array_equal(read_labels(tmp_path / "files" / "p.tif").array, make_truth())
    assert evaluate(tmp_path / "files", data.masks).cases[0].error is None


def test_a_format_without_its_library_is_refused_once_and_before_anything_is_written(
    store, tmp_path, monkeypatch
) -> None:
    """Every case would fail alike: one line with the extra, as for torch, and not two for each case."""
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ConfigError, match=r"^mha needs SimpleITK, which is not installed; pip install 'adele\[itk\]'$"):
        convert(store, out=tmp_path / "mha", format="mha")
    assert not (tmp_path / "mha").exists()
    assert convert(store, out=tmp_path / "nifti", format="nifti").exit_code == 0


def test_a_store_without_confidence_says_how_to_get_one(data, tmp_path) -> None:
    """That the map is not there is half of the answer."""
    data.add("a")
    correct(data.masks, out=data.out, model=data.model)
    error = convert(data.out, out=tmp_path / "sure", which="confidence").cases[0].error
    assert str(error).endswith("it holds original, corrected, change; only --confidence-maps makes maps of confidence")


def test_existing_files_need_overwrite(store, tmp_path) -> None:
    """The second conversion is refused without ``overwrite`` and equal with it."""
    convert(store, out=tmp_path / "files")
    before = (tmp_path / "files" / "case_1.2.nii.gz").read_bytes()
    with pytest.raises(OutputError, match="exists already; pass --overwrite"):
        convert(store, out=tmp_path / "files")
    convert(store, out=tmp_path / "files", overwrite=True)
    assert (tmp_path / "files" / "case_1.2.nii.gz").read_bytes() == before


def test_a_damaged_case_is_told_and_the_others_are_written(data, tmp_path) -> None:
    """Exit code 3, and the good case has its file."""
    data.add("a")
    data.add("b")
    correct(data.masks, out=data.out, model=data.model)
    (data.out / "a" / "labels" / "corrected" / "0" / "c" / "0" / "0" / "0").unlink()
    conversion = convert(data.out, out=tmp_path / "files")
    assert conversion.exit_code == 3
    assert "damaged" in str(conversion.cases[0].error)
    assert (tmp_path / "files" / "b.nii.gz").is_file()


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"which": "best"}, ConfigError, "choose corrected, original, change, confidence"),
        ({"format": "dicom"}, ConfigError, "choose source, nifti, nrrd, mha, png, dicom-seg"),
        ({"cases": ["z*"]}, InputError, "no case matches"),
        ({"colour": 1}, ConfigError, "there is no option `colour`"),
    ],
)
def test_wrong_options_are_refused(store, tmp_path, options, kind, said) -> None:
    """One line, and nothing written."""
    with pytest.raises(kind, match=said):
        convert(store, out=tmp_path / "files", **options)
    assert not (tmp_path / "files").exists()


def test_what_is_no_store_is_refused(data, tmp_path) -> None:
    """Code 7; writing into the store itself is refused too."""
    with pytest.raises(InputError, match="is not"):
        convert(tmp_path, out=tmp_path / "files")
    data.add("a")
    correct(data.masks, out=data.out, model=data.model)
    with pytest.raises(ConfigError, match="is read from"):
        convert(data.out, out=data.out / "files")
