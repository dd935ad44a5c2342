"""``evaluate``: stores, folders and files against each other, with numbers that can be worked out by hand."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from dicom_files import write_series
from known_cases import make_noisy, make_truth, write_nifti

from adelecli.errors import ConfigError, InputError
from adelecli.pipeline.comparison import evaluate
from adelecli.pipeline.correction import correct
from adelecli.volumes.archiving import Segmentation, write_segments
from adelecli.volumes.reading import read_labels
from adelecli.volumes.series import read_series_geometry


@pytest.fixture
def truth(data):
    """A folder with the true masks of the cases a and b."""
    for name in ("a", "b"):
        write_nifti(data.root / "truth" / f"{name}.nii.gz", make_truth())
    return data.root / "truth"


def test_folders_are_compared_per_class_and_case(two_cases, truth) -> None:
    """Dice, IoU and volumes of the noisy masks against the truth are exact: 72 of 96 voxels, and 36 of 48."""
    evaluation = evaluate(two_cases.masks, truth)
    one, two = evaluation.cases[0].classes
    assert (one.dice, one.iou) == (pytest.approx(2 * 72 / 168), 0.75)
    assert (two.dice, two.iou) == (pytest.approx(2 * 36 / 84), 0.75)
    assert (one.volume_prediction, one.volume_reference, one.volume_difference) == (90.0, 120.0, -30.0)
    assert one.relative_volume_difference == -0.25
    assert one.hd95 == 1.0  # one column of 1 mm is missing on one side
    assert two.hd95 == 0.5  # one row of 0.5 mm too many
    assert evaluation.iou == 0.75
    assert (evaluation.cases[0].unit, evaluation.label_error, evaluation.exit_code) == ("mm", None, 0)


def test_a_corrected_store_shows_the_error_before_and_after(two_cases, truth) -> None:
    """The store's own originals are the labels before: (24 + 12) wrong of 144 in the union, none after, all changes right."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    evaluation = evaluate(two_cases.out, truth)
    assert evaluation.dice == 1.0
    assert evaluation.cases[0].classes[0].hd95 == 0.0
    error = evaluation.label_error
    assert error is not None
    assert error.error_before == pytest.approx(36 / 144, abs=1e-6)
    assert (error.error_after, error.precision, error.recall) == (0.0, 1.0, 1.0)
    assert (error.changed, error.fixed, error.broken) == (72, 72, 0)
    assert evaluation.classes[0].label_error is not None
    assert evaluation.classes[0].label_error.fixed == 48


def test_the_original_of_a_store_can_be_judged_too(two_cases, truth) -> None:
    """``labels="original"`` gives the scores of the noisy masks themselves."""
    correct(two_cases.masks, out=two_cases.out, model=two_cases.model)
    assert evaluate(two_cases.out, truth, labels="original").cases == evaluate(two_cases.masks, truth).cases


def test_labels_before_may_be_named(two_cases, truth) -> None:
    """``before`` for predictions that are files; here nothing was changed."""
    error = evaluate(two_cases.masks, truth, before=two_cases.masks).label_error
    assert error is not None
    assert (error.error_before, error.error_after, error.changed) == (0.25, 0.25, 0)
    assert error.precision is None


def test_two_files_belong_together_whatever_they_are_called(two_cases, tmp_path) -> None:
    """Naming two files is saying that they pair."""
    write_nifti(tmp_path / "other.nii.gz", make_truth())
    evaluation = evaluate(two_cases.masks / "a.nii.gz", tmp_path / "other.nii.gz")
    assert [case.id for case in evaluation.cases] == ["other"]
    assert evaluation.iou == 0.75


def test_cases_that_are_on_one_side_only_are_named(two_cases, truth) -> None:
    """They are not scored, and not forgotten."""
    write_nifti(two_cases.masks / "c.nii.gz", make_noisy())
    write_nifti(truth / "d.nii.gz", make_truth())
    evaluation = evaluate(two_cases.masks, truth)
    assert (evaluation.spare, evaluation.missing) == (("c",), ("d",))
    assert len(evaluation.cases) == 2


def test_a_case_that_cannot_be_compared_is_told_and_the_others_are_scored(two_cases, truth) -> None:
    """Another grid is an error of that case; the means are over the rest; exit code 3."""
    write_nifti(truth / "b.nii.gz", make_truth()[:, :, :9])
    evaluation = evaluate(two_cases.masks, truth)
    assert f"{two_cases.masks / 'b.nii.gz'}: does not lie on the grid of its reference" in str(
        evaluation.cases[1].error
    )
    assert (evaluation.exit_code, evaluation.iou, evaluation.classes[0].cases) == (3, 0.75, 1)


def test_a_label_in_no_class_is_told_with_the_file_that_holds_it(two_cases, truth) -> None:
    """Of two files that are compared one is to be mended; the id of the case would not say which."""
    wrong = make_truth()
    wrong[0, 0, 0] = 9
    write_nifti(truth / "a.nii.gz", wrong)
    write_nifti(two_cases.masks / "b.nii.gz", wrong)
    names = truth / "names.json"
    names.write_text('{"0": "background", "1": "lesion", "2": "vessel"}')
    errors = [str(case.error) for case in evaluate(two_cases.masks, truth, classes=names).cases]
    assert errors[0].startswith(f"{truth / 'a.nii.gz'}: label 9 (1 voxels")
    assert errors[1].startswith(f"{two_cases.masks / 'b.nii.gz'}: label 9 (1 voxels")


def test_a_class_on_one_side_only_has_no_distance(data) -> None:
    """Dice 0, no HD95, the whole volume as difference; a class on neither side has no score at all."""
    truth = make_truth()
    write_nifti(data.masks / "a.nii.gz", np.where(truth == 2, 0, truth).astype(np.uint8))
    write_nifti(data.root / "truth" / "a.nii.gz", truth)
    (data.root / "labels.json").write_text('{"0": "background", "1": "liver", "2": "spleen", "3": "kidney"}')
    liver, spleen, kidney = evaluate(data.masks, data.root / "truth").cases[0].classes
    assert (liver.name, liver.dice) == ("liver", 1.0)
    assert (spleen.dice, spleen.hd95, spleen.volume_difference) == (0.0, None, -45.0)
    assert (kidney.dice, kidney.hd95, kidney.relative_volume_difference) == (None, None, None)


def test_what_the_reference_ignores_counts_nowhere(data) -> None:
    """A rim marked 255 in the reference takes the error with it."""
    truth = make_truth()
    reference = np.where(truth != make_noisy(), 255, truth).astype(np.uint8)
    write_nifti(data.masks / "a.nii.gz", make_noisy())
    write_nifti(data.root / "truth" / "a.nii.gz", reference)
    assert evaluate(data.masks, data.root / "truth").iou == 1.0


@pytest.mark.parametrize("drawn_side", ["prediction", "reference"])
def test_a_segmentation_that_leaves_out_empty_slices_is_placed_on_the_other_grid(tmp_path, drawn_side) -> None:
    """A BINARY DICOM SEG holds the two labelled slices of six alone; against the NIfTI of all six nothing is wrong."""
    pytest.importorskip("highdicom")
    series = tmp_path / "series" / "p1"
    write_series(series, np.zeros((6, 5, 4), np.int16))
    grid = read_series_geometry(series)
    labels = np.zeros((6, 5, 4), np.uint8)
    labels[2:4, 1:4, 1:3] = 1
    segments = tmp_path / "segments" / "p1.dcm"
    segments.parent.mkdir()
    write_segments(segments, labels, grid, series, Segmentation({0: "background", 1: "liver"}, binary=True))
    assert read_labels(segments).array.shape == (2, 5, 4)
    (tmp_path / "whole").mkdir()
    image = nib.Nifti1Image(grid.to_canonical(labels).T, grid.canonical.affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, tmp_path / "whole" / "p1.nii.gz")
    sides = [segments.parent, tmp_path / "whole"]
    evaluation = evaluate(*(sides if drawn_side == "prediction" else reversed(sides)))
    (liver,) = evaluation.cases[0].classes
    assert (liver.dice, liver.hd95, liver.volume_prediction, liver.volume_reference) == (1.0, 0.0, 15.0, 15.0)


def test_the_result_is_strict_json(two_cases, truth) -> None:
    """No NaN and no infinity: other programs read it."""
    told = json.loads(evaluate(two_cases.masks, truth).to_json(), parse_constant=pytest.fail)
    assert told["classes"][0]["iou"] == 0.75


@pytest.mark.parametrize(
    ("prediction", "reference", "options", "kind", "said"),
    [
        ("nowhere", "truth", {}, InputError, "there is no such"),
        ("masks", "nowhere", {}, InputError, "there is no such"),
        ("masks", "others", {}, InputError, "has no case in common"),
        ("masks", "truth", {"labels": "best"}, ConfigError, "choose corrected or original"),
        ("masks", "truth", {"cases": ["z*"]}, InputError, "no case matches"),
        ("masks", "truth", {"classes": "nowhere.json"}, ConfigError, "cannot be read"),
    ],
)
def test_what_cannot_be_compared_at_all_is_refused(
    two_cases, truth, prediction, reference, options, kind, said
) -> None:
    """One line with its code."""
    write_nifti(two_cases.root / "others" / "z.nii.gz", make_truth())
    with pytest.raises(kind, match=said):
        evaluate(two_cases.root / prediction, two_cases.root / reference, **options)
