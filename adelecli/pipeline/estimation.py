"""What a run would take, from a short probe: seconds, memory, disk.

The probe is the run's own code on a few slices of the largest case, so its figures are those of this machine and this model.
What must hold: nothing is written; a figure that was not measured is absent, not guessed.
"""

from __future__ import annotations

import shutil
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adelecli.errors import CaseError
from adelecli.pipeline.budget import measure_need
from adelecli.pipeline.checkup import Estimate
from adelecli.pipeline.inference import read_volume, segment_case
from adelecli.scratch import KEEP_BYTES
from adelecli.store.arrays import to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from adelecli.pipeline.session import Session
    from adelecli.volumes.cases import Case
    from adelecli.volumes.reading import Volume

_PROBED = 3
"""Slices that the probe puts through the network after one that warms it up."""

_COPIES, _PYRAMID, _SMALL = 3, 8 / 7, 40 << 10
"""Of each mask: original, corrected and change; their smaller levels; bytes of small files and metadata."""

_SAMPLE = 1 << 22
"""Bytes of a mask that are packed to see how well it packs."""

_ARRAYS, _AT_ONCE = 5, 3
"""Arrays of the size of a mask that a case needs, and cases in work at once (read, treated, written)."""


@dataclass
class Workload:
    """The usable cases of a run, as they add up: slices to ask the network about, seconds of reading masks, packed bytes."""

    cases: list[Case] = field(default_factory=list)
    slices: int = 0
    seconds: float = 0.0
    packed: float = 0.0
    largest: int = 0
    probe: Case | None = None

    def add(self, case: Case, labels: NDArray[np.unsignedinteger], slices: int) -> None:
        """Take in a case whose mask is ``labels`` ``[Z, Y, X]`` and of which ``slices`` could change."""
        self.cases.append(case)
        self.slices += slices
        self.packed += _COPIES * (_PYRAMID * labels.nbytes * _measure_packing(labels) + _SMALL)
        if slices and (self.probe is None or labels.nbytes > self.largest):
            self.probe = case
        self.largest = max(self.largest, labels.nbytes)


def _measure_packing(labels: NDArray[np.unsignedinteger]) -> float:
    """Packed bytes per byte of a sample from the middle of ``labels`` ``[Z, Y, X]``, by zlib, which packs a little worse than zstd."""
    rows = max(1, _SAMPLE * len(labels) // max(1, labels.nbytes))
    start = max(0, (len(labels) - rows) // 2)
    sample = to_bytes(labels[start : start + rows])
    return min(1.0, len(zlib.compress(sample, 1)) / max(1, sample.nbytes))


def estimate_run(work: Workload, session: Session | None, out: Path) -> Estimate:
    """What ``work`` would take in one process of this machine, with the store at ``out``."""
    each, reading, needed = None, None, None
    if session is not None:
        each, reading = _probe(work.probe, session)
        needed = measure_need(session.model, work.cases, session.lanes)
    seconds = None
    if each is not None and reading is not None:
        seconds = round(work.seconds + reading * len(work.cases) + each * work.slices, 1)
    array = work.largest if work.largest > KEEP_BYTES else 0  # smaller ones stay in memory
    folder = out.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return Estimate(
        seconds=seconds,
        seconds_per_slice=None if each is None else round(each, 4),
        memory_mb=None if needed is None else (needed >> 20) + 1,
        disk_mb=_to_mb(work.packed),
        scratch_mb=_to_mb(_AT_ONCE * _ARRAYS * array),
        free_mb=shutil.disk_usage(folder).free >> 20,
    )


def _to_mb(size: float) -> int:
    return -int(-size // 2**20)


def _probe(case: Case | None, session: Session) -> tuple[float | None, float | None]:
    """Seconds of the network for one slice, and of reading one image; ``None`` when no case could be put through."""
    if case is None:
        return None, None
    try:
        begin = time.perf_counter()
        volume = read_volume(case, session)
        reading = time.perf_counter() - begin
        axis = "zyx".index(session.model.contract.grid.axis)
        count = volume.geometry.canonical_shape[axis]
        numbers = [count * i // (_PROBED + 1) for i in range(1, _PROBED + 1)]
        _time_slice(volume, session, count // 2)  # it warms the session up
        times = [_time_slice(volume, session, number) for number in numbers]
    except CaseError:
        return None, None  # told as the case's own failure when it is run
    return sum(times) / len(times), reading


def _time_slice(volume: Volume, session: Session, number: int) -> float:
    """Seconds for the slice ``number``, in calls of its own: what several have in common must not be counted twice.

    As many copies of it as a run would have in the network at once share them.
    """
    begin = time.perf_counter()
    for _ in segment_case(volume, session, [number] * session.lanes):
        pass
    return (time.perf_counter() - begin) / session.lanes
