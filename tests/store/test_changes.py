"""The change map."""

from __future__ import annotations

import numpy as np

from adelecli.store.changes import map_changes


def test_each_kind_of_change_has_its_value() -> None:
    """Added, removed and relabelled are told apart; an ignored voxel that is filled was relabelled."""
    before = np.array([0, 0, 1, 1, 1, 255, 255], np.uint8)
    after = np.array([0, 2, 0, 1, 2, 1, 255], np.uint8)
    assert map_changes(before, after).tolist() == [0, 1, 2, 0, 3, 3, 0]
