"""Seeded chest CT phantoms with four labelled organs: the data set of `adele demo`.

It exists so that a person without data, and a test without network, can see ADELE work on something whose truth is known.
What must hold: ``make_case(seed, index)`` depends on nothing but its two numbers; patients differ; labels lie exactly on
the tissue they name (both are rendered from the same shapes at twice the resolution and averaged: partial volume).

Labels: 1 esophagus, 2 heart, 3 trachea, 4 aorta, as in the SegTHOR challenge. Everything else (bronchi, lung artery, vena
cava, spine, ribs, liver) is there to be confused with them. Arrays run ``[Z, Y, X]`` = (feet to head, front to back, right to
left of the patient), voxel (x, y, z) codes "LPS" as in files converted from DICOM.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adelecli.showcase.anatomy import (
    AORTA,
    ESOPHAGUS,
    HEART,
    HEIGHT_MM,
    TRACHEA,
    Chest,
    Field,
    draw_patient,
    measure_aorta,
    measure_esophagus,
    measure_heart,
    measure_trachea,
    spread_field,
)
from adelecli.showcase.tissue import paint_tissue

CLASS_NAMES = ("background", "esophagus", "heart", "trachea", "aorta")
SHAPE = (20, 64, 80)
SPACING = (6.0, 3.0, 3.0)
FINER = 2

Case = tuple[NDArray[np.int16], NDArray[np.uint8], tuple[float, float, float]]


def make_case(seed: int, index: int) -> Case:
    """One patient: image int16 ``[Z, Y, X]`` in HU, labels uint8 ``[Z, Y, X]``, spacing (z, y, x) in mm.

    >>> image, labels, spacing = make_case(0, 0)
    >>> image.shape == labels.shape == SHAPE, sorted(set(labels.flat))
    (True, [0, 1, 2, 3, 4])
    """
    rng = np.random.default_rng([seed, index])
    chest = _place_patient(rng)
    organs = {
        ESOPHAGUS: measure_esophagus(chest),
        HEART: measure_heart(chest),
        TRACHEA: measure_trachea(chest, wall=0.8),
        AORTA: measure_aorta(chest),
    }
    fine = np.zeros(chest.x.shape, np.uint8)
    for organ in (HEART, ESOPHAGUS, AORTA, TRACHEA):
        fine[organs[organ] < 0] = organ
    tissue = paint_tissue(chest, fine, rng)
    return _scan_tissue(tissue, rng), _vote_labels(fine), SPACING


def lay_affine() -> NDArray[np.float64]:
    """Voxel (x, y, z) to RAS+ mm: the middle of the first slice is the origin, x runs to the left and y to the back."""
    dz, dy, dx = SPACING
    affine = np.diag((-dx, -dy, dz, 1.0))
    affine[:2, 3] = (SHAPE[2] - 1) / 2 * dx, (SHAPE[1] - 1) / 2 * dy
    return affine


def _place_patient(rng: np.random.Generator) -> Chest:
    """Draw a patient and express the fine grid in the patient's own coordinates: shift, turn, lean, scale, soft warp."""
    patient = draw_patient(rng)
    shape = tuple(size * FINER for size in SHAPE)
    z, y, x = (
        ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * np.float32(extent * step)
        for size, extent, step in zip(shape, SHAPE, SPACING, strict=True)
    )
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    x, y = x - patient.shift[0] - patient.lean * z, y - patient.shift[1]
    cos, sin = math.cos(patient.turn), math.sin(patient.turn)
    across, deep = (cos * x + sin * y) / patient.scale, (cos * y - sin * x) / patient.scale
    height = (z - patient.shift[2]) / patient.scale + HEIGHT_MM / 2
    across = across + warp_softly(rng, shape, 2.2)
    deep = deep + warp_softly(rng, shape, 2.2)
    return Chest(patient, across.astype(np.float32), deep.astype(np.float32), height.astype(np.float32))


def warp_softly(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> Field:
    """A smooth random field ``shape`` with about ``amplitude`` mm of standard deviation and no detail below some 4 cm."""
    return spread_field(rng.standard_normal((5, 6, 7)) * amplitude * 1.4, shape)


def _block(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average blocks of FINER voxels along each axis."""
    z, y, x = SHAPE
    return np.asarray(fine.reshape(z, FINER, y, FINER, x, FINER).mean(axis=(1, 3, 5)), np.float32)


def _vote_labels(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The label that fills most of each voxel; background wins a tie."""
    shares = np.stack([_block((fine == label).astype(np.float32)) for label in range(len(CLASS_NAMES))])
    return np.asarray(shares.argmax(axis=0), np.uint8)


def _scan_tissue(tissue: Field, rng: np.random.Generator) -> NDArray[np.int16]:
    """What a scanner makes of the tissue: blur of the kernel, partial volume, grainy noise, slow shading, whole HU."""
    image = _block(ndimage.gaussian_filter(tissue, (0.4, 0.8, 0.8)))
    grain = ndimage.gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), (0, 0.55, 0.55))
    image += grain * np.float32(rng.uniform(18, 28) / grain.std())
    image += 6 * spread_field(rng.standard_normal((3, 4, 4)), SHAPE)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)
