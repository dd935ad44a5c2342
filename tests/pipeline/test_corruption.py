"""``corrupt``: seeded, measured, in the files' own format."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from known_cases import make_truth, read_canonical, write_nifti

from adelecli.errors import ConfigError, InputError, OutputError
from adelecli.pipeline.comparison import evaluate
from adelecli.pipeline.corruption import corrupt, parse_range


@pytest.fixture
def clean(data):
    """A folder of two clean masks, of which one runs to LPS, with their names."""
    write_nifti(data.root / "clean" / "a.nii.gz", make_truth())
    write_nifti(data.root / "clean" / "b.nii.gz", make_truth(), "LPS")
    (data.root / "labels.json").write_text('{"0": "background", "1": "liver", "2": "spleen"}')
    return data.root / "clean"


def test_the_strength_that_is_reported_is_the_strength_that_is_there(clean, tmp_path) -> None:
    """The label error and IoU of the report are those that ``evaluate`` finds in the files."""
    report = corrupt(clean, out=tmp_path / "noisy", seed=3)
    found = evaluate(tmp_path / "noisy", clean, before=tmp_path / "noisy")
    assert found.label_error is not None
    assert report.label_error == found.label_error.error_before
    assert [case.mean_iou for case in report.cases] == pytest.approx([case.iou for case in found.cases])
    assert 0 < report.mean_iou < 1
    assert set(report.class_iou) == {"liver", "spleen"}
    assert json.loads((tmp_path / "noisy" / "corruption.json").read_text())["mean_iou"] == report.mean_iou


def test_a_seed_gives_the_same_noise_whatever_the_other_cases_are(clean, tmp_path) -> None:
    """Case b alone is damaged as it is among others; another seed damages it otherwise."""
    corrupt(clean, out=tmp_path / "1", seed=1)
    corrupt(clean / "b.nii.gz", out=tmp_path / "2", seed=1)
    corrupt(clean, out=tmp_path / "3", seed=2)
    first = (tmp_path / "1" / "b.nii.gz").read_bytes()
    assert first == (tmp_path / "2" / "b.nii.gz").read_bytes()
    assert first != (tmp_path / "3" / "b.nii.gz").read_bytes()


def test_headers_and_names_stay(clean, tmp_path) -> None:
    """The noisy file carries the clean file's header byte by byte, and labels.json says what the numbers mean."""
    corrupt(clean, out=tmp_path / "noisy")
    for name in ("a.nii.gz", "b.nii.gz"):
        noisy, source = nib.load(tmp_path / "noisy" / name), nib.load(clean / name)
        assert noisy.header.binaryblock == source.header.binaryblock
    told = json.loads((tmp_path / "noisy" / "labels.json").read_text())
    assert told["labels"] == {"0": "background", "1": "liver", "2": "spleen"}


def test_only_the_named_classes_are_damaged(clean, tmp_path) -> None:
    """Class 2 stays where class 1 alone is corrupted; empty slices stay empty."""
    corrupt(clean, out=tmp_path / "noisy", classes=["liver"], k="3", seed=5)
    noisy = read_canonical(tmp_path / "noisy" / "b.nii.gz")
    np.testing.assert_array_equal(noisy == 2, make_truth() == 2)
    assert not noisy[[0, 5]].any()
    assert (noisy != make_truth()).any()


def test_options_of_a_family_are_passed_on(clean, tmp_path) -> None:
    """A share of nothing damages nothing."""
    report = corrupt(clean, out=tmp_path / "noisy", noise="omit", share=0.0)
    assert (report.mean_iou, report.label_error, report.options["share"]) == (1.0, 0.0, 0.0)


def test_one_draw_for_each_class_of_a_case_is_a_setting_of_the_family(clean, tmp_path) -> None:
    """``coherent`` and ``mode=each`` reach the family, give other noise than the default, and stand in the report."""
    report = corrupt(clean, out=tmp_path / "noisy", coherent=True, settings={"mode": "each"}, seed=3)
    assert (report.options["coherent"], report.options["mode"]) == (True, "each")
    assert report.mean_iou != corrupt(clean, out=tmp_path / "default", seed=3).mean_iou


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": "rain"}, "there is no noise 'rain'; choose adele-de"),
        ({"k": "a-b"}, "write 1-5, or 2,3,4"),
        ({"axis": "t"}, "choose z, y or x"),
        ({"seed": -1}, "choose 0 or more"),
        ({"noise": "omit", "k": "1-5"}, "has no option k"),
        ({"classes": ["kidney"]}, "unknown class 'kidney'"),
    ],
)
def test_wrong_options_are_refused(clean, tmp_path, options, said) -> None:
    """Code 2, one line."""
    with pytest.raises(ConfigError, match=said):
        corrupt(clean, out=tmp_path / "noisy", **options)


def test_the_clean_masks_cannot_be_overwritten(clean, tmp_path) -> None:
    """Writing into the folder that is read is refused even with ``overwrite``; a folder with files needs ``overwrite``."""
    with pytest.raises(ConfigError, match="is read from"):
        corrupt(clean, out=clean, overwrite=True)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("precious")
    with pytest.raises(OutputError, match="not empty"):
        corrupt(clean, out=tmp_path / "used")
    corrupt(clean, out=tmp_path / "used", overwrite=True)
    assert (tmp_path / "used" / "letter.txt").read_text() == "precious"


def test_a_bad_mask_is_told_and_the_others_are_written(clean, tmp_path) -> None:
    """Exit code 3; with nothing but bad masks, 7; with none at all, an input error."""
    (clean / "c.nii.gz").write_bytes(b"garbage")
    report = corrupt(clean, out=tmp_path / "noisy")
    assert [case.error is None for case in report.cases] == [True, True, False]
    assert report.exit_code == 3
    with pytest.raises(InputError):
        corrupt(tmp_path / "nowhere", out=tmp_path / "2")


def test_ranges_are_read_as_people_write_them() -> None:
    """A range, a list, or both."""
    assert (parse_range("1-5"), parse_range("2,3,4"), parse_range([4])) == ((1, 2, 3, 4, 5), (2, 3, 4), (4,))
