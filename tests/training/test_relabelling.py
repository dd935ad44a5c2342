"""Correction of the slices of an epoch: the shared rule, per case, from the original labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from adelecli.labels.correction import Rule
from adelecli.training.dataset import ROW, Slices
from adelecli.training.relabelling import correct_case, correct_rows

CPU = torch.device("cpu")


class Oracle(torch.nn.Module):
    """Says what the image says: value v is class v with confidence .9; counts how many slices it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, image: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        self.asked += len(image)
        label = image[:, 0].round().to(torch.uint8)
        return None, label, torch.full(label.shape, 0.9)


def make_slices(labels: np.ndarray, images: np.ndarray, cases: list[int]) -> Slices:
    table = np.zeros(len(cases), ROW)
    table["case"], table["slice"] = cases, np.arange(len(cases))
    return Slices(images.astype(np.float32)[:, None], labels, None, table, ("a", "b"), frozenset())


def correct(slices: Slices, rows: list[int], rule: Rule, guard: float = 1.0):
    model = Oracle()
    return (*correct_rows(model, slices, np.array(rows), rule, guard=guard, device=CPU), model)  # type: ignore[arg-type]


LABELS = np.array([[[0, 1, 1, 2]], [[0, 0, 2, 2]], [[1, 1, 0, 255]]], np.uint8)
TRUTH = np.array([[[1, 1, 0, 2]], [[1, 1, 2, 2]], [[1, 0, 1, 1]]])


def test_rows_come_back_in_their_order_and_from_the_original_labels() -> None:
    """Only {0} and triggered classes change, only to classes of the slice, never ignore; the source stays untouched."""
    slices = make_slices(LABELS.copy(), TRUTH, [0, 0, 1])
    rule = Rule(tau=(0.8,) * 3, triggered=frozenset({1}))
    corrected, counts, _ = correct(slices, [2, 0, 1], rule)
    assert corrected.tolist() == [[[1, 0, 1, 255]], [[1, 1, 0, 2]], [[0, 0, 2, 2]]]
    assert (counts.changes[1].added, counts.changes[1].removed) == (2, 2)
    assert np.array_equal(slices.labels, LABELS)


def test_slices_without_a_triggered_class_are_not_predicted() -> None:
    """Nothing there may change under constraint slice, so the network is not asked."""
    slices = make_slices(LABELS.copy(), TRUTH, [0, 0, 1])
    *_, model = correct(slices, [0, 1, 2], Rule(tau=(0.8,) * 3, triggered=frozenset({2})))
    assert model.asked == 2
    *_, model = correct(slices, [0, 1, 2], Rule(tau=(0.8,) * 3, triggered=frozenset({2}), constraint="none"))
    assert model.asked == 3


def test_a_trusted_case_is_neither_predicted_nor_changed() -> None:
    """Whatever the network says of it; the counts of changes do not hold it either, and the other case is corrected as ever."""
    slices = replace(make_slices(LABELS.copy(), TRUTH, [0, 0, 1]), trusted=frozenset({"a"}))
    rule = Rule(tau=(0.8,) * 3, triggered=frozenset({1}), constraint="none")
    corrected, counts, model = correct(slices, [2, 0, 1], rule)
    assert corrected.tolist() == [[[1, 0, 1, 255]], *LABELS[:2].tolist()]
    assert model.asked == 1
    assert (counts.changes[1].added, counts.changes[1].removed) == (1, 1)
    sure = np.full((2, 1, 4), 0.9, np.float32)
    kept, cancelled = correct_case(slices, np.array([0, 1]), LABELS[:2], (TRUTH[:2].astype(np.uint8), sure), rule, 0.5)
    assert np.array_equal(kept, LABELS[:2])
    assert cancelled == ()


def test_the_volume_constraint_knows_the_whole_case() -> None:
    """A class of another slice of the same case may appear, also when that slice is not shown."""
    slices = make_slices(LABELS.copy(), TRUTH, [0, 0, 1])
    rule = Rule(tau=(0.8,) * 3, triggered=frozenset({1}), constraint="volume")
    corrected, *_ = correct(slices, [1], rule)
    assert corrected.tolist() == [[[1, 1, 2, 2]]]


def test_the_guard_cancels_a_collapse() -> None:
    """A prediction that removes more than half of a class from a case leaves that class as it was, and is recorded."""
    labels = np.array([[[1, 1, 1, 0]], [[0, 1, 1, 0]]], np.uint8)
    slices = make_slices(labels, np.array([[[0, 0, 0, 0]], [[1, 1, 1, 0]]]), [0, 1])
    rule = Rule(tau=(0.8,) * 2, triggered=frozenset({1}))
    corrected, counts, _ = correct(slices, [0, 1], rule, guard=0.5)
    assert corrected.tolist() == [[[1, 1, 1, 0]], [[1, 1, 1, 0]]]
    assert counts.cancelled == {"a": (1,)}
