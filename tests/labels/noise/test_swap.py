"""``swap``: names are exchanged, outlines stay."""

from __future__ import annotations

import numpy as np

from adelecli.labels.noise.swap import swap_classes

LABELS = np.repeat(np.array([[[1, 1, 2], [0, 3, 255]]], np.uint8), 200, 0)


def test_two_classes_are_exchanged_both_ways() -> None:
    """With two classes every damaged slice is the exact exchange, in about 30 % of the slices."""
    damaged = swap_classes(LABELS, np.random.default_rng(0), (1, 2))
    hit = damaged[:, 0, 0] == 2
    assert 0.2 < hit.mean() < 0.4
    assert (damaged[hit] == [[2, 2, 1], [0, 3, 255]]).all()
    assert (damaged[~hit] == LABELS[~hit]).all()


def test_foreground_stays_foreground_and_each_pair_occurs() -> None:
    """With three classes all three pairs are drawn; background and ignore never take part."""
    damaged = swap_classes(LABELS, np.random.default_rng(0), (1, 2, 3), share=1.0)
    np.testing.assert_array_equal(damaged[:, 1, ::2], LABELS[:, 1, ::2])
    assert {tuple(p) for p in damaged[:, [0, 0, 1], [0, 2, 1]].tolist()} == {(2, 1, 3), (3, 2, 1), (1, 3, 2)}


def test_coherent_swap_exchanges_the_same_two_everywhere() -> None:
    """All slices of the case agree."""
    damaged = swap_classes(LABELS[:9], np.random.default_rng(1), (1, 2, 3), share=1.0, coherent=True)
    assert (damaged == damaged[:1]).all()
    assert (damaged != LABELS[:9]).any()


def test_one_class_cannot_be_swapped() -> None:
    """A case with a single class stays as it is."""
    labels = np.where(LABELS == 1, LABELS, 0).astype(np.uint8)
    np.testing.assert_array_equal(swap_classes(labels, np.random.default_rng(0), (1, 2, 3), share=1.0), labels)
