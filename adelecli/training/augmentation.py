"""Changes of a slice that leave its labels valid; optional and off in every published preset.

Intensity only: geometric augmentation would compare the onset's curve with labels on another grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.training.settings import AugmentSettings


def augment_batch(
    images: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``images [N, C, H, W]`` with a shift, a contrast factor and noise drawn per image; unchanged where all are 0."""
    if not (settings.brightness or settings.contrast or settings.noise):
        return images
    shape = (len(images), images.shape[1], 1, 1)
    factor = 1 + rng.uniform(-settings.contrast, settings.contrast, shape)
    shift = rng.normal(0, settings.brightness, shape) if settings.brightness else 0.0
    noise = rng.normal(0, settings.noise, images.shape) if settings.noise else 0.0
    return (images * factor + shift + noise).astype(np.float32)
