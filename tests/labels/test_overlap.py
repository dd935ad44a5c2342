"""Overlap and label error: exact counts, agreement with MONAI, and pooling by addition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adelecli.labels.classes import IGNORE
from adelecli.labels.overlap import LabelErrorCounts, confusion, count_pairs, dice_scores, iou_scores, label_error


def make_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, (5, 8, 9), np.uint8), rng.integers(0, 4, (5, 8, 9), np.uint8)


def test_confusion_has_the_reference_in_rows_and_leaves_ignore_out() -> None:
    """One voxel of each kind lands where it belongs; 255 on either side counts nowhere."""
    reference = np.array([0, 1, 1, 2, 255, 2], np.uint8)
    prediction = np.array([0, 1, 2, 2, 1, 255], np.uint8)
    assert confusion(prediction, reference, 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


def test_confusion_refuses_values_that_are_no_class() -> None:
    """A label beyond the classes would fall out of every score, so it is refused."""
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        confusion(np.array([0, 3], np.uint8), np.array([0, 1], np.uint8), 2)
    with pytest.raises(ValueError, match="encode label ids"):
        confusion(np.array([0, 300], np.uint16), np.array([0, 1], np.uint8), 2)
    with pytest.raises(ValueError, match="shapes differ"):
        count_pairs(np.zeros((2, 2), np.uint8), np.zeros((4,), np.uint8))


def test_dice_and_iou_by_hand_and_nan_where_there_is_nothing() -> None:
    """2 right of 3 and 3: Dice 2/3, IoU 1/2; a class in neither has no score."""
    counts = np.array([[5, 1, 0], [1, 2, 0], [0, 0, 0]], np.int64)
    np.testing.assert_allclose(dice_scores(counts), [10 / 12, 4 / 6, np.nan])
    np.testing.assert_allclose(iou_scores(counts), [5 / 7, 2 / 4, np.nan])


def test_scores_agree_with_monai() -> None:
    """Dice and IoU are MONAI's, class by class."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    prediction, reference = make_pair(1)
    counts = confusion(prediction, reference, 4)

    def encode(labels: np.ndarray) -> object:
        return torch.from_numpy(np.stack([labels == c for c in range(4)])[None].astype(np.float32))

    dice = metrics.compute_dice(encode(prediction), encode(reference))[0].numpy()
    iou = metrics.compute_iou(encode(prediction), encode(reference))[0].numpy()
    np.testing.assert_allclose(dice_scores(counts), dice, rtol=1e-6)
    np.testing.assert_allclose(iou_scores(counts), iou, rtol=1e-6)


def test_pairs_are_counted_over_pieces() -> None:
    """An array longer than one piece is counted whole."""
    first = np.zeros((1 << 20) + 3, np.uint8)
    second = first.copy()
    second[-2:] = 7
    counts = count_pairs(first, second)
    assert (counts[0, 0], counts[0, 7], counts.sum()) == ((1 << 20) + 1, 2, first.size)


def test_label_error_by_hand() -> None:
    """One repaired, one missed, one broken, one changed from wrong to wrong; voxels ignored on either side left out."""
    true = np.array([1, 1, 1, 0, 2, 0, 255, 1], np.uint8)
    noisy = np.array([1, 0, 0, 0, 1, 0, 1, 255], np.uint8)
    corrected = np.array([0, 1, 0, 0, 0, 0, 0, 1], np.uint8)
    error = label_error(noisy, true, corrected, n_classes=3)
    assert error.overall == LabelErrorCounts(union=4, wrong_before=3, wrong_after=3, changed=3, fixed=1, broken=1)
    assert error.overall.error_before == 0.75
    assert error.overall.error_after == 0.75
    assert error.overall.precision == pytest.approx(1 / 3)
    assert error.overall.recall == pytest.approx(1 / 3)
    assert error.overall.broken_per_fixed == 1.0
    # class 1: true {0,1,2}, noisy {0,4}, corrected {1}: 0 broken, 1 and 4 fixed, 2 still missing
    assert error.per_class[1] == LabelErrorCounts(union=4, wrong_before=3, wrong_after=2, changed=3, fixed=2, broken=1)
    assert error.per_class[2] == LabelErrorCounts(union=1, wrong_before=1, wrong_after=1)


def test_label_error_without_a_correction_changes_nothing() -> None:
    """Nothing corrected: before equals after, and precision of no changes is undefined."""
    counts = label_error(np.array([0, 1], np.uint8), np.array([1, 1], np.uint8), n_classes=2).overall
    assert (counts.error_before, counts.error_after, counts.changed) == (0.5, 0.5, 0)
    assert math.isnan(counts.precision)
    assert math.isnan(counts.broken_per_fixed)
    assert LabelErrorCounts(broken=1).broken_per_fixed == math.inf


def test_abstention_repairs_nothing() -> None:
    """A voxel set to ignore is a change that counts as wrong afterwards."""
    noisy, true = np.array([1, 1], np.uint8), np.array([0, 1], np.uint8)
    counts = label_error(noisy, true, np.array([IGNORE, IGNORE], np.uint8), n_classes=2).overall
    assert counts == LabelErrorCounts(union=2, wrong_before=1, wrong_after=2, changed=2, fixed=0, broken=1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_label_error_pools_and_per_class_is_one_against_the_rest(seed: int) -> None:
    """Slabs add up to the volume, and each class's counts are those of its mask alone."""
    rng = np.random.default_rng(seed)
    noisy, true, corrected = rng.choice(np.array([0, 1, 2, 255], np.uint8), (3, 4, 5, 6))
    whole = label_error(noisy, true, corrected, n_classes=3)
    parts = [label_error(noisy[p], true[p], corrected[p], n_classes=3) for p in (slice(0, 1), slice(1, 4))]
    assert parts[0] + parts[1] == whole
    ignored = (noisy == IGNORE) | (true == IGNORE)
    for c in range(1, 3):
        masks = [np.where(ignored, IGNORE, labels == c).astype(np.uint8) for labels in (noisy, true)]
        alone = label_error(*masks, (corrected == c).astype(np.uint8), n_classes=2)
        assert alone.overall == whole.per_class[c]


def test_label_error_within_a_band() -> None:
    """``within`` counts only where it is true."""
    noisy, true = np.array([1, 1, 0], np.uint8), np.array([0, 1, 1], np.uint8)
    counts = label_error(noisy, true, n_classes=2, within=np.array([True, True, False])).overall
    assert (counts.wrong_before, counts.union) == (1, 2)
