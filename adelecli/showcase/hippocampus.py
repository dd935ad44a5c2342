"""Seeded phantoms of a hippocampus in cropped T1-weighted MR, for the model that comes with the package.

They exist so that ``adele correct --model hippocampus`` can be tried where no data are at hand. What must hold: a case depends on
nothing but its two numbers; the drawing is plain (a bent ellipse with white matter, cortex, fluid and amygdala around it), and
its proportions were chosen so that the model knows it again. So it shows how the programme is used, and says nothing about how
good the model is on people: that stands in the model's card.

Labels: 1 anterior, 2 posterior hippocampus, as in the Medical Segmentation Decathlon. Arrays run ``[Z, Y, X]`` = (feet to head, back
to front, left to right of the patient), voxels of 1 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CLASS_NAMES = ("background", "anterior hippocampus", "posterior hippocampus")
SHAPE = (36, 50, 36)
HEAD, TAIL = 0.81, 0.1
"""Where along its axis (0 back, 1 front) the hippocampus begins to close."""
BORDER = 0.64
"""Where the anterior part begins."""
FLUID, WHITE, CORTEX, GREY = -1.78, 1.38, -0.7, -0.71
"""Brightness of the tissues, in deviations from the mean; the amygdala and the deep brain lie between."""

Field = NDArray[np.floating]


@dataclass(frozen=True)
class Section:
    """Where each voxel lies in the plane across the axis: ``along`` it (0 to 1), ``across`` and ``above`` in mm, ``depth`` outside of it.

    ``level``: below 1 inside of the ellipse; ``width``: its half axis across, in mm, at that place.
    """

    along: Field
    across: Field
    above: Field
    level: Field
    depth: Field
    width: Field


def make_hippocampus(seed: int, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One case: image float32 and labels uint8, both ``[Z, Y, X]``.

    >>> image, labels = make_hippocampus(0, 0)
    >>> image.shape == labels.shape == SHAPE, sorted(set(labels.flat))
    (True, [0, 1, 2])
    """
    rng = np.random.default_rng([seed, index])
    section = _place_section(rng)
    inside = _fill_shape(section, rng)
    front = section.along > BORDER + rng.uniform(-0.03, 0.03)
    labels = np.where(inside, np.where(front, 1, 2), 0).astype(np.uint8)
    tissue = _paint_tissue(section, _spread_noise(rng, 2.5), inside)
    image = ndimage.gaussian_filter(tissue, 0.5) + 0.14 * rng.standard_normal(SHAPE)
    return np.clip(420 + 120 * image, 0, None).astype(np.float32), labels


def _place_section(rng: np.random.Generator) -> Section:
    """Lay the axis from the back, high, to the front, low; every case with its own place, size and tilt."""
    z, y, x = np.meshgrid(*(np.arange(size, dtype=np.float64) for size in SHAPE), indexing="ij")
    along = np.clip((y - 6) / 34.5, -0.3, 1.3)
    grown = np.clip(along, 0, 1)
    right = x - (15.2 + rng.uniform(-1, 1) + 1.8 * along)
    up = z - (24 + rng.uniform(-1, 1) - 13.4 * along)
    width = (5.5 + 2.3 * grown) * rng.uniform(0.94, 1.06)
    height = (3.25 + 1.7 * grown**2) * rng.uniform(0.94, 1.06)
    tilt = rng.uniform(-0.04, 0.12)
    across, above = right * np.cos(tilt) + up * np.sin(tilt), up * np.cos(tilt) - right * np.sin(tilt)
    level = np.hypot(across / width, above / height)
    return Section(along, across, above, level, (level - 1) * np.minimum(width, height), width)


def _fill_shape(section: Section, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The ellipse with an uneven outline, closed at both ends."""
    front = 1 - np.clip((section.along - HEAD) / 0.2, 0, 1) ** 2
    back = 1 - np.clip((TAIL - section.along) / 0.14, 0, 1) ** 2
    closing = np.sqrt(front * back)
    return np.asarray((section.level + 0.06 * _spread_noise(rng, 3.0) < closing) & (closing > 0))


def _paint_tissue(section: Section, grain: Field, inside: NDArray[np.bool_]) -> Field:
    """From the outside inwards: what is painted later covers what was there."""
    across, above, depth = section.across, section.above, section.depth
    under, over = above < 1.2, above >= 1.0
    tissue = np.where(above > 0, 0.81 + 0.33 * grain, -0.52 + 0.5 * grain)
    tissue = np.where(under & (depth < 8.5) & (depth >= 6.5) & (grain > 0), 1.2, tissue)
    tissue = np.where(under & (depth < 6.5), CORTEX + 0.2 * grain, tissue)
    tissue = np.where(under & (depth < 2.0), WHITE, tissue)
    tissue = np.where((across > 0.9 * section.width) & (above < 1) & (depth > 5), FLUID, tissue)
    amygdala = (section.along > BORDER) & over & (depth < 7.7) & (depth >= 2.0)
    tissue = np.where(amygdala, -0.11 + 0.2 * grain, tissue)
    tissue = np.where(over & (depth < 2.0) & (across > -0.4 * section.width), FLUID, tissue)
    beside = (across < -0.95 * section.width) & (np.abs(above) < 2.5) & (depth < 4.7)
    tissue = np.where(beside, FLUID + 0.2, tissue)
    return np.where(inside, GREY + 0.12 * grain, tissue)


def _spread_noise(rng: np.random.Generator, size: float) -> Field:
    """A smooth random field of deviation 1 whose detail is about ``size`` voxels."""
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), size)
    return np.asarray(field / field.std())
