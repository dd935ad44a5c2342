"""The labels that a run learns from, where they are known to be wrong all in the same way.

Why: a network learns such an error as if it were the truth, so little that it says afterwards speaks against it. Where trusted cases say
that the others are all drawn too large or too small, outlines are moved back before it sees them; where a class looks left out of a case,
nobody knows what of its background is background, and it is ignored. What the network then says of the labels as they were drawn is
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

if TYPE_CHECKING:
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
    lacking = frozenset() if noise is None else frozenset(case for cases in noise.omitted for case in cases)
    if not any(shifts) and not lacking:
        return experiment
    path = cache / NAME
    if experiment.world.leads:
        _write_moved(experiment.slices, shifts, lacking, path)
    experiment.world.share_text("moved")
    moved = np.load(path, mmap_mode="r", allow_pickle=False)
    return replace(experiment, slices=replace(experiment.slices, labels=moved))


def _write_moved(slices: Slices, shifts: tuple[float, ...], lacking: frozenset[str], path: Path) -> None:
    """All labels of ``slices``, moved where they may be, without the background of the cases ``lacking`` a class; whole or not at all."""
    unknown = np.array([case in lacking for case in slices.case_ids])[slices.table["case"]]
    temporary = path.with_suffix(".part")
    target = open_memmap(temporary, "w+", np.uint8, slices.labels.shape)
    kept = slices.is_val | slices.is_trusted
    for start in range(0, len(slices), SLAB):
        part = np.array(slices.labels[start : start + SLAB])
        free = ~kept[start : start + SLAB]
        part[free] = move_outlines(part[free], shifts)
        part[(free & unknown[start : start + SLAB])[:, None, None] & (part == 0)] = IGNORE
        target[start : start + SLAB] = part
    target.flush()
    temporary.replace(path)
