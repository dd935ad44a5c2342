"""The demo's table says what the histories say: last five epochs, best epoch, share of the gap, nothing chosen."""

from __future__ import annotations

import json

import pytest

from adelecli.pipeline.scores import ClassMean, ErrorRate, Evaluation
from adelecli.showcase.results import DemoResult, compare_methods, list_labels, score_method

ORGANS = ("esophagus", "heart")


def make_history(ious):
    return [
        {
            "val": {
                who: {"mean_iou": iou + shift, "mean_dice": iou + 0.1, "dice": [0.9, iou, None]}
                for who, shift in (("student", 0), ("teacher", 0.02))
            }
        }
        for iou in ious
    ]


def test_last_is_the_mean_of_five_and_best_the_maximum():
    """Six epochs: the first is the best and is not among the last five."""
    row = score_method("x", make_history([0.9, 0.1, 0.2, 0.3, 0.4, 0.5]), "student", ORGANS)
    assert row.iou_best == 0.9
    assert row.iou_last == pytest.approx(0.3)
    assert row.dice_last == pytest.approx(0.4)
    assert row.organ_dice == {"esophagus": pytest.approx(0.3), "heart": None}


def test_the_gap_is_measured_from_noisy_to_true_labels():
    """Noisy .5, averaged .52, ADELE .62, clean .72: shares of the gap of .22."""
    rows = compare_methods(
        {"baseline": make_history([0.5]), "adele": make_history([0.6]), "clean": make_history([0.7])}, ORGANS
    )
    assert [row.gap_recovered for row in rows] == [None, pytest.approx(0.0909), pytest.approx(0.5455), None]
    assert [row.iou_last for row in rows] == [0.5, 0.52, 0.62, 0.72]


def test_a_loss_is_shown_as_a_loss_and_no_gap_as_none():
    """ADELE below the baseline has a negative share; where noise did no harm there is nothing to recover."""
    histories = {"baseline": make_history([0.5]), "adele": make_history([0.3]), "clean": make_history([0.7])}
    assert compare_methods(histories, ORGANS)[2].gap_recovered < 0
    histories["clean"] = make_history([0.4])
    assert compare_methods(histories, ORGANS)[2].gap_recovered is None


def test_label_rows_follow_the_evaluation():
    """All organs first, then each with its onset; a class that was never compared has no numbers."""
    rate = ErrorRate(0.4, 0.1, 0.9, 0.8, 100, 90, 10, 0.11)
    mean = {"cases": 2, "dice": 0.9, "iou": 0.8, "hd95": 1.0, "assd": 0.5, "relative_volume_difference": 0.0}
    classes = (ClassMean(1, "esophagus", label_error=rate, **mean), ClassMean(2, "heart", **mean))
    rows = list_labels(Evaluation((), classes, 0.9, 0.8, rate), {"esophagus": 7, "heart": None})
    assert [row.name for row in rows] == ["all organs", "esophagus", "heart"]
    assert (rows[1].error_before, rows[1].error_after, rows[1].onset) == (0.4, 0.1, 7)
    assert rows[2].error_before is None


def test_the_record_is_plain_json():
    """No NaN, no path objects."""
    rows = compare_methods({name: make_history([0.5]) for name in ("baseline", "adele", "clean")}, ORGANS)
    result = DemoResult("out", 0, 2, 1, 1, {"k": "1-5"}, (), rows, None, {"total": 1.0}, {}, ())
    assert json.loads(result.to_json())["methods"][0]["name"] == "noisy labels"
    assert result.exit_code == 0
