"""What the slices of a case tell about its labels while they come by, beside the correction itself.

It costs the run a few counts per slice and holds no more than the last two; the review queue is ordered by it (``labels.triage``).
What must hold: a volume in slabs gives the same numbers as a volume at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from adelecli.labels.classes import IGNORE
from adelecli.labels.triage import REACH, count_gap_edges, count_jumps
from adelecli.runtime.preparation import move_axis
from adelecli.scratch import let_go

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.scratch import Allocate
    from adelecli.volumes.geometry import Geometry


class ConfidenceSummary:
    """Mean confidence over foreground, how much of it labels and network disagree on, and, where asked for, the map of confidences.

    The map is uint8 (255 = certain).
    """

    def __init__(self, shape: tuple[int, ...], axis: str, allocate: Allocate | None) -> None:
        """``allocate`` makes the map of a canonical ``shape``; without it none is kept."""
        self._total, self._count, self._doubt = 0.0, 0, 0.0
        self.map = None if allocate is None else allocate(shape, np.dtype(np.uint8))
        self._slices = None if self.map is None else cut_slices(self.map, axis)

    def add(
        self, confidence: NDArray[np.float32], foreground: NDArray[np.bool_], wrong: NDArray[np.bool_] | None = None
    ) -> None:
        """Take note of a slice, of whose ``confidence`` ``[H, W]`` the pixels ``foreground`` count for the mean.

        ``wrong``: where the labels say otherwise than the network.
        """
        self._total += float(confidence[foreground].sum(dtype=np.float64))
        self._count += int(np.count_nonzero(foreground))
        if wrong is not None:
            self._doubt += float(confidence[foreground & wrong].sum(dtype=np.float64))

    def keep(self, index: int, confidence: NDArray[np.float32]) -> None:
        """Put the ``confidence`` of slice ``index`` into the map, where one was asked for."""
        if self._slices is not None:
            self._slices[index] = np.rint(confidence * 255)
            let_go(self._slices)

    def restore_map(self, geometry: Geometry) -> NDArray[np.uint8] | None:
        """The map on the source grid, or ``None`` when none was kept."""
        return None if self.map is None else geometry.from_canonical(self.map)

    def disagreement(self, missing: float = 0.0) -> float | None:
        """The share of the foreground (of labels or network) on which they disagree, each pixel weighted by the confidence.

        ``missing``: pixels that slices without any label should have had. ``None`` where there was no foreground.
        """
        held = self._count + missing
        return round((self._doubt + missing) / held, 6) if held else None

    @property
    def mean(self) -> float | None:
        """Mean confidence over the foreground; ``None`` when there was none."""
        return round(self._total / self._count, 6) if self._count else None


class JumpCount:
    """How much more the labels jump from slice to slice than the network's answer does, from the slices as they come by.

    Only the last ``REACH`` slices are held. Pairs of which a slice was not asked about do not count: nothing is known of the network
    there.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((REACH, 2, 2), np.int64)
        self._last: deque[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]] = deque(maxlen=REACH)

    def add(self, index: int, given: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
        """Take note of slice ``index``: labels and the network's answer, both ``[H, W]``; what the labels ignore takes the answer."""
        given = np.where(given == IGNORE, label, given)
        for at, before, answer in self._last:
            if index - at <= REACH:
                self._counts[index - at - 1] += [count_jumps(before, given), count_jumps(answer, label)]
        self._last.append((index, given, label))

    def measure_excess(self, areas: NDArray[np.int64] | None = None, distance: int = 1) -> float | None:
        """The share of foreground that differs between slices ``distance`` apart in the labels less that in the answer, -1..1.

        ``areas [S]``: labelled pixels per slice; those beside slices that were forgotten are jumps of the labels
        (``labels.triage.count_gap_edges``). ``distance``: 1 to ``REACH``. ``None`` where no two such slices with foreground were seen.
        """
        (jumped, held), (moved, shown) = self._counts[distance - 1].tolist()
        if not (held and shown):
            return None
        edges = 0 if areas is None else count_gap_edges(areas, distance)
        excess: float = (jumped + edges) / (held + edges) - moved / shown
        return round(excess, 6)


def count_areas(slices: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Foreground pixels (class indices but ``IGNORE``) of each of ``slices [S, H, W]``."""
    areas = np.zeros(len(slices), np.int64)
    for index, one in enumerate(slices):
        areas[index] = np.count_nonzero((one > 0) & (one != IGNORE))
        let_go(slices)
    return areas


def cut_slices(volume: NDArray[np.uint8], axis: str) -> NDArray[np.uint8]:
    """View a canonical volume ``[Z, Y, X]`` as slices ``[S, H, W]`` along ``axis``; writing to the view writes to the volume."""
    return move_axis(volume, axis)  # type: ignore[arg-type]  # a Literal of the contract
