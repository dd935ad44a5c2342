"""Classes that a case lacks and gets back, while its slices stream by: ``labels.omission`` for volumes of any size.

Why it is held apart from the rule: whether a class was left out is known only when the last slice has been seen, and then the slices
are gone. So what would be added is kept, one byte a voxel, where anything could be at all. What must hold: the labels that were read
are never written to; a case that lacks no class which may be restored pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adelecli.labels.omission import find_restored, sum_sizes
from adelecli.pipeline.evidence import cut_slices
from adelecli.scratch import cut_slabs, let_go

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.labels.correction import Rule
    from adelecli.runtime.contract import Axis
    from adelecli.scratch import Allocate
    from adelecli.volumes.geometry import Geometry


class Restorer:
    """What a case of ``shape`` [Z, Y, X], as its file has it, may get back by ``rule``; it holds the classes ``present``.

    ``add`` its slices along the canonical ``axis`` in any order, then ``restore``.
    """

    def __init__(self, rule: Rule, present: frozenset[int], geometry: Geometry, axis: Axis, allocate: Allocate) -> None:
        self._rule, self._classes = rule, rule.restorable - present
        self._sizes = np.zeros((2, len(rule.tau) - 1))
        self._offered: NDArray[np.uint8] | None = None
        if self._classes:
            self._offered = allocate(geometry.shape, np.dtype(np.uint8))
            for part in cut_slabs(self._offered):
                self._offered[part] = 0
                let_go(self._offered)
            self._slices = cut_slices(geometry.to_canonical(self._offered), axis)

    def add(self, index: int, labels: NDArray[np.uint8], own: NDArray[np.uint8], certain: NDArray[np.float32]) -> None:
        """Count the slice ``index`` and keep what it would get; the network's own label and confidence [H, W]."""
        if self._offered is None:
            return
        added = find_restored(labels, own, certain, self._rule.tau, self._classes)
        self._sizes += sum_sizes(added, len(self._rule.tau))
        self._slices[index] = added
        let_go(self._offered)

    def choose(self, scale: float) -> frozenset[int]:
        """The classes that the case gets back; ``scale`` as in ``Restoration.choose``."""
        if self._rule.restoration is None or self._offered is None:
            return frozenset()
        return self._rule.restoration.choose(self._sizes, scale) & self._classes

    def write(self, labels: NDArray[np.uint8], chosen: frozenset[int]) -> None:
        """Write the classes ``chosen`` into the corrected ``labels`` [Z, Y, X], over background alone."""
        if self._offered is None:
            return
        for part in cut_slabs(labels):
            offered = self._offered[part]
            np.copyto(labels[part], offered, where=(labels[part] == 0) & np.isin(offered, sorted(chosen)))
            let_go(labels, self._offered)
