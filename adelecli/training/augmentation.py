"""Changes of a slice that leave its labels valid; optional and off in every published preset.

Intensity changes touch the image alone. Spatial ones move the image and every label map of a slice by the same map, the original
labels too: a curve that compared a moved prediction with unmoved labels would bend for the wrong reason. What comes from outside
the slice repeats its edge in the image and is ``IGNORE`` in the labels: nobody has annotated it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from adelecli.labels.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.training.settings import AugmentSettings


def changes_intensity(settings: AugmentSettings) -> bool:
    """Whether ``augment_batch`` would change anything."""
    return bool(settings.brightness or settings.contrast or settings.noise)


def moves_labels(settings: AugmentSettings) -> bool:
    """Whether ``draw_motion`` would draw anything."""
    return bool(settings.flip or settings.rotate or settings.scale or settings.shift)


def augment_batch(
    images: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``images [N, C, H, W]`` with a shift, a contrast factor and noise drawn per image; unchanged where all are 0."""
    if not changes_intensity(settings):
        return images
    shape = (len(images), images.shape[1], 1, 1)
    factor = 1 + rng.uniform(-settings.contrast, settings.contrast, shape)
    shift = rng.normal(0, settings.brightness, shape) if settings.brightness else 0.0
    noise = rng.normal(0, settings.noise, images.shape) if settings.noise else 0.0
    return (images * factor + shift + noise).astype(np.float32)


def draw_motion(settings: AugmentSettings, count: int, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """One map per slice, ``[count, 2, 3]``: from a pixel's place to the place it comes from; ``None`` where all settings are 0.

    Places are (x, y) in pixels from the centre of the slice; the last column is in sides of the slice. A flip, a turn, a zoom by
    at most ``1 + scale`` either way, a shift: each is drawn for every slice, whatever the settings, so that one of them
    does not change the others' draws.
    """
    if not moves_labels(settings):
        return None
    mirror = np.where(rng.random((count, 2)) < settings.flip, -1.0, 1.0)
    turn = np.radians(settings.rotate) * rng.uniform(-1, 1, count)
    zoom = np.exp(np.log1p(settings.scale) * rng.uniform(-1, 1, count))
    shift = settings.shift * rng.uniform(-1, 1, (count, 2))
    cosine, sine = np.cos(turn), np.sin(turn)
    linear = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1) / zoom[:, None, None]
    motion: NDArray[np.float64] = np.concatenate([linear * mirror[:, :, None], shift[:, :, None]], 2)
    return motion


def move_slices(
    images: torch.Tensor, labels: torch.Tensor, motion: NDArray[np.float64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """``images [N, C, H, W]`` (bilinear) and label maps uint8 ``[N, M, H, W]`` (nearest) moved by ``motion [N, 2, 3]``."""
    height, width = images.shape[2:]
    theta = motion.copy()
    theta[:, :, 2] *= 2  # the grid's unit is half a side
    theta[:, 0, 1] *= height / width  # its axes have units of their own; a turn is one of pixels
    theta[:, 1, 0] *= width / height
    turns = torch.from_numpy(theta.astype(np.float32)).to(images.device)
    grid = functional.affine_grid(turns, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # outside is 0 for the sampler, so labels travel as 1 + label
    found = functional.grid_sample(labels.float() + 1, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    known = found > 0
    return moved, torch.where(known, found - 1, torch.full_like(found, IGNORE)).round().to(torch.uint8)
