"""The corrected labels of two cases, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adelecli.benchmarking.scoring import CaseTriple, read_curve, score_labels

NAMES = ("background", "a", "b")


def make_row(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[None, None]


def make_triple(name: str, rows: list[np.ndarray], *, spoilt: bool, learnt: tuple[int, ...] = (0,)) -> CaseTriple:
    noisy, true, corrected = rows
    return CaseTriple(name, noisy, true, corrected, (3.0, 1.0, 1.0), np.array(learnt), spoilt)


def test_labels_are_counted_over_cases_and_in_the_band() -> None:
    """Spoilt: 2 of 4 wrong, one fixed, one far voxel broken; clean: 1 of 2 foreground voxels changed for nothing."""
    spoilt = make_triple(
        "s",
        [make_row(1, 1, 0, 0, 0, 0, 0, 0, 0, 0), make_row(1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
         make_row(1, 1, 1, 0, 0, 0, 0, 0, 0, 2)],
        spoilt=True,
    )  # fmt: skip
    clean = make_triple(
        "c",
        [make_row(2, 2, 0, 0, 0, 0, 0, 0, 0, 0), make_row(2, 2, 0, 0, 0, 0, 0, 0, 0, 0),
         make_row(2, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
        spoilt=False,
    )  # fmt: skip
    scores = score_labels([spoilt, clean], NAMES)
    overall = scores.overall
    assert (overall.fixed, overall.broken, overall.changed) == (1, 2, 3)
    assert overall.error_before == pytest.approx(2 / 6)
    assert overall.error_after == pytest.approx(3 / 6)
    assert (overall.precision, overall.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert (scores.band.fixed, scores.band.broken) == (1, 1)  # the broken voxel 6 mm from any boundary is outside
    assert scores.harm == pytest.approx(1 / 2)
    first, second = scores.cases
    assert (first.wrong, first.changed, first.error_share) == (2, 2, 0.5)
    assert first.changed_share == 0.5  # 2 of 4 voxels that are noisy or corrected foreground
    assert (second.wrong, second.changed_share, second.error_share) == (0, 0.5, 0)
    assert scores.rank_correlation is None  # both changed alike
    assert scores.found == 1
    assert set(scores.classes) == {"a", "b"}
    assert scores.classes["a"].recall == pytest.approx(1 / 2)


def test_only_learnt_slices_are_judged() -> None:
    """The second slice is wholly wrong, but the run never saw it."""
    slices = [np.concatenate([make_row(1, 0), make_row(*second)]) for second in ((0, 0), (1, 1), (1, 1))]
    scores = score_labels([make_triple("x", slices, spoilt=True)], NAMES)
    assert (scores.overall.error_before, scores.overall.changed, scores.harm) == (0, 0, None)


def test_a_curve_is_the_history_of_one_network() -> None:
    """Means as recorded, IoU of the foreground classes; an epoch that was not validated has none."""
    score = {"mean_iou": 0.4, "mean_dice": 0.5, "iou": [0.9, 0.3, 0.5]}
    curve = read_curve([{"val": {"student": score, "teacher": {}}}, {"val": {}}], "student")
    assert curve.mean_iou == (0.4, None)
    assert curve.mean_dice == (0.5, None)
    assert curve.iou == ((0.3, 0.5), ())
