"""The change map: what a correction did to each voxel, as a label image that any viewer shows beside the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME, ADDED, REMOVED, RELABELLED = range(4)


def map_changes(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 map of ``before`` -> ``after`` (equal shapes, ids with 0 = background).

    0 same, 1 added (background -> class), 2 removed (class -> background), 3 relabelled (one class, or ignore, to
    another).
    """
    changes = np.full(before.shape, RELABELLED, np.uint8)
    changes[before == 0] = ADDED
    changes[after == 0] = REMOVED
    changes[before == after] = SAME
    return changes
