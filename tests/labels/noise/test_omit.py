"""``omit``: a class is there entirely or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.noise.omit import omit_objects

LABELS = np.repeat(np.array([[[1, 1, 2], [0, 3, 255]]], np.uint8), 300, 0)


def test_each_class_is_left_out_of_its_share_of_slices() -> None:
    """About 30 % of the slices lose class 1, about 30 % class 2, independently; class 3 was not named and stays."""
    damaged = omit_objects(LABELS, np.random.default_rng(0), (1, 2))
    lost = [(damaged != c).all((1, 2)) for c in (1, 2)]
    for gone in lost:
        assert 0.22 < gone.mean() < 0.38
    assert 0.04 < (lost[0] & lost[1]).mean() < 0.15
    kept = damaged[~lost[0]]
    assert (kept[:, 0, :2] == 1).all()
    assert (damaged[:, 1] == LABELS[:, 1]).all()


def test_coherent_omission_takes_the_whole_case() -> None:
    """Every slice agrees, in each of 30 cases, and both outcomes occur."""
    outcomes = set()
    for seed in range(30):
        damaged = omit_objects(LABELS[:5], np.random.default_rng(seed), (1,), coherent=True)
        assert (damaged == damaged[:1]).all()
        outcomes.add(bool((damaged == 1).any()))
    assert outcomes == {True, False}


def test_shares_of_nothing_and_all() -> None:
    """0 leaves everything, 1 nothing; other values are refused."""
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(omit_objects(LABELS, rng, (1, 2, 3), share=0.0), LABELS)
    assert set(np.unique(omit_objects(LABELS, rng, (1, 2, 3), share=1.0))) == {0, 255}
    with pytest.raises(ConfigError, match="share is 2"):
        omit_objects(LABELS, rng, (1,), share=2.0)
