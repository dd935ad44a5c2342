"""The labels that a run learns from, where they are known to be wrong all in the same way.

Why: a network learns such an error as if it were the truth, so little that it says afterwards speaks against it. Where trusted cases say
that the others are all drawn too large or too small, outlines are moved back before it sees them; where a class looks left out of a case,
the background around it is ignored. What the network then says of the labels as they were drawn is
corrected like every other error. What must hold: the original labels stay what they are and are what is corrected at the end; trusted
and validation cases are not touched; a resumed run learns from the same labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap

from adelecli.labels.bias import move_outlines
from adelecli.labels.classes import IGNORE
from adelecli.training.omissions import mark_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adelecli.training.dataset import Slices
    from adelecli.training.loop import Experiment

NAME = "moved.npy"
SLAB = 256
"""Slices that are moved at once."""


def learn_from_moved(experiment: Experiment, cache: Path) -> Experiment:
    """``experiment`` with the labels of its training cases moved and ignored as its noise says; itself where it asks for nothing.

    They are written beside the others in ``cache`` by the leading process, in any number of slices the same; the others wait.
    """
    noise = experiment.noise
    shifts = () if noise is None else tuple(entry.shift for entry in noise.classes)
    unknown = {} if noise is None else mark_unknown(experiment.slices, noise.omitted)
    if not any(shifts) and not unknown:
        return experiment
    path = cache / NAME
    if experiment.world.leads:
        _write_moved(experiment.slices, shifts, unknown, path)
    experiment.world.share_text("moved")
    moved = np.load(path, mmap_mode="r", allow_pickle=False)
    return replace(experiment, slices=replace(experiment.slices, labels=moved))


def _write_moved(
    slices: Slices, shifts: tuple[float, ...], unknown: Mapping[int, Sequence[tuple[slice, slice]]], path: Path
) -> None:
    """All labels of ``slices``, moved where they may be, without background in the boxes ``unknown`` of a row; whole or not at all."""
    temporary = path.with_suffix(".part")
    target = open_memmap(temporary, "w+", np.uint8, slices.labels.shape)
    kept = slices.is_val | slices.is_trusted
    for start in range(0, len(slices), SLAB):
        part = np.array(slices.labels[start : start + SLAB])
        free = ~kept[start : start + SLAB]
        part[free] = move_outlines(part[free], shifts)
        for row in range(start, start + len(part)):
            for box in unknown.get(row, ()):
                held = part[row - start][box]
                held[held == 0] = IGNORE
        target[start : start + SLAB] = part
    target.flush()
    temporary.replace(path)
