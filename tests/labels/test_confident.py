"""Confident learning on examples that can be worked out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adelecli.labels.classes import IGNORE
from adelecli.labels.confident import fix_labels, measure_confidence


def make_row(*foreground: float) -> np.ndarray:
    """Probabilities [1, 2, 1, n] of one row of pixels."""
    p = np.array(foreground)
    return np.stack([1 - p, p])[None, :, None, :]


def test_thresholds_are_the_mean_confidence_in_the_own_label() -> None:
    """Labels 0 with p0 = .9, .5 -> .7; labels 1 with p1 = .8, .6 -> .7; the ignored pixel counts nowhere."""
    labels = np.array([[[0, 0, 1, 1, IGNORE]]], np.uint8)
    measured = measure_confidence(labels, make_row(0.1, 0.5, 0.8, 0.6, 0.99))
    np.testing.assert_allclose(measured.thresholds, [0.7, 0.7])
    np.testing.assert_allclose((measured + measured).thresholds, [0.7, 0.7])


def test_a_label_changes_where_another_class_reaches_its_threshold() -> None:
    """Thresholds .7 and .6: .65 makes a 0 a 1; .5 reaches neither and stays; .2 makes a 1 a 0; ignored stays ignored."""
    labels = np.array([[[0, 0, 1, 1, IGNORE]]], np.uint8)
    fixed = fix_labels(labels, make_row(0.65, 0.5, 0.2, 0.9, 0.9), np.array([0.7, 0.6]))
    assert fixed.tolist() == [[[1, 0, 0, 1, IGNORE]]]


def test_of_two_confident_classes_the_more_probable_counts() -> None:
    """Both classes reach their thresholds .3 and .2: the argmax decides."""
    labels = np.array([[[0, 0]]], np.uint8)
    assert fix_labels(labels, make_row(0.6, 0.4), np.array([0.3, 0.2])).tolist() == [[[1, 0]]]


def test_a_class_that_no_label_names_is_never_given() -> None:
    """Its threshold is infinite."""
    labels = np.zeros((1, 1, 2), np.uint8)
    probabilities = make_row(0.99, 0.3)
    measured = measure_confidence(labels, probabilities)
    assert measured.thresholds[1] == np.inf
    assert not fix_labels(labels, probabilities, measured.thresholds).any()


@given(hnp.arrays(np.uint8, (2, 3, 3), elements=st.sampled_from([0, 1, 2, IGNORE])), st.integers(0, 99))
def test_certain_agreement_changes_nothing(labels: np.ndarray, seed: int) -> None:
    """Where every probability of the own label is 1, all thresholds are 1 and every label stays."""
    probabilities = np.moveaxis(np.eye(3)[np.where(labels == IGNORE, seed % 3, labels)], 3, 1)
    fixed = fix_labels(labels, probabilities, measure_confidence(labels, probabilities).thresholds)
    np.testing.assert_array_equal(fixed, labels)
