"""The batches of an epoch, augmented, as tensors: each process loads the rows of every batch that are its own.

What must hold: whatever happens to a slice on its way happens to its image, its current, its original and its clean labels alike, so
that the onset's curve compares like with like; and it is a function of the seed, the epoch and the batch alone, so that a resumed
run and any number of processes see the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from adelecli.labels.classes import IGNORE
from adelecli.training.augmentation import augment_batch, changes_intensity, draw_motion, move_slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from adelecli.training.loop import Experiment


@dataclass(frozen=True)
class Batch:
    """``image`` float32 ``[n, C, H, W]``; ``labels``, ``original`` and ``clean`` (or ``None``) int64 ``[n, H, W]``.

    ``rows`` ``[n]`` are their places in the cache; ``size`` counts the slices of the batch in all processes together.
    """

    rows: NDArray[np.intp]
    image: torch.Tensor
    labels: torch.Tensor
    original: torch.Tensor
    clean: torch.Tensor | None
    size: int


def load_batches(
    experiment: Experiment, epoch: int, rows: NDArray[np.intp], labels: NDArray[np.uint8]
) -> Iterator[Batch]:
    """The batches of ``rows`` with their current ``labels [n, H, W]`` in ``epoch`` (from 1)."""
    settings, slices = experiment.settings, experiment.slices
    size = settings.optimiser.batch_size
    rng = np.random.default_rng((settings.seed, epoch, 3))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        own = _own_positions(experiment, len(part))
        maps = [labels[start : start + size][own], slices.labels[part[own]]]
        if slices.clean is not None:
            maps.append(slices.clean[part[own]])
        targets = torch.from_numpy(np.stack(maps, axis=1)).to(experiment.device)
        image = torch.from_numpy(_load_images(experiment, part, own, rng)).to(experiment.device)
        motion = draw_motion(settings.augment, len(part), np.random.default_rng((settings.seed, epoch, 4, start)))
        if motion is not None:
            image, targets = move_slices(image, targets, motion[own])
        if experiment.world.rank >= len(part):
            targets = torch.full_like(targets, IGNORE)
        current, original, *clean = (one.long() for one in targets.unbind(1))
        yield Batch(part[own], image, current, original, clean[0] if clean else None, len(part))


def _own_positions(experiment: Experiment, size: int) -> NDArray[np.intp]:
    """The positions of this process in a batch; where the batch is too small for it, one whose labels are then ignored.

    A slice without a valid pixel adds nothing to any sum, and spares the network an empty batch.
    """
    own = experiment.world.own_rows(np.arange(size, dtype=np.intp))
    return own if len(own) else np.zeros(1, np.intp)


def _load_images(
    experiment: Experiment, part: NDArray[np.intp], own: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The own images of a batch; one stream of random numbers runs through all slices of an epoch, so noise needs them all."""
    images, augment = experiment.slices.images, experiment.settings.augment
    if not changes_intensity(augment):
        return np.array(images[part[own]])
    return augment_batch(np.array(images[part]), augment, rng)[own]
