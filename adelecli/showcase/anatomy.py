"""Where everything lies in the chest of an imagined patient: the geometry behind the demo's phantom.

The phantom must pose the problem that real chest CT poses to a network (organs of very different size, one of them hardly
visible, look-alikes beside them, every patient different) while the truth is known exactly; no real data set offers that.
What must hold: the same random generator gives the same patient; the four labelled organs do not overlap; every shape is a
function of position in millimetres, so that it can be rendered at any resolution.

Coordinates: ``x`` grows to the patient's left, ``y`` to the back, ``z`` to the head, in mm; x = y = 0 is the middle of the
chest, z = 0 its lower end, about 120 mm of chest are described. A *level* is negative inside a shape and about the distance
to its surface in mm near that surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
Length = float | NDArray[np.floating[Any]]

ESOPHAGUS, HEART, TRACHEA, AORTA = 1, 2, 3, 4
HEIGHT_MM = 120.0


@dataclass(frozen=True)
class Patient:
    """What distinguishes one patient from another: lengths in mm, angles in radians, HU offsets in HU.

    ``shift`` (x, y, z), ``turn`` (rotation in the axial plane), ``lean`` (mm of x per mm of z) and ``scale`` place the whole
    body on the table; the rest varies single organs.
    """

    scale: float
    shift: tuple[float, float, float]
    turn: float
    lean: float
    heart_axes: tuple[float, float, float]
    heart_centre: tuple[float, float, float]
    heart_turn: float
    aorta_radius: float
    arch_height: float
    trachea_radius: float
    carina: float
    esophagus_axes: tuple[float, float]
    esophagus_shift: tuple[float, float]
    esophagus_air: float
    fat: float
    contrast: float
    liver_top: float
    rib_phase: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient drawn from the population: normal variation around an adult of slim build, cut at two deviations."""

    def vary(mean: float, sd: float) -> float:
        return mean + sd * float(np.clip(rng.standard_normal(), -2, 2))

    return Patient(
        scale=vary(1.0, 0.045),
        shift=(vary(0, 4), vary(0, 4), vary(0, 7)),
        turn=vary(0, 0.05),
        lean=vary(0, 0.05),
        heart_axes=(vary(45, 3.5), vary(35, 3), vary(50, 4)),
        heart_centre=(vary(15, 4), vary(-17, 2.5), vary(24, 6)),
        heart_turn=vary(-0.45, 0.15),
        aorta_radius=vary(12.5, 1.2),
        arch_height=vary(101, 4),
        trachea_radius=vary(9.3, 0.9),
        carina=vary(76, 5),
        esophagus_axes=(vary(9.5, 1.1), vary(7.2, 0.8)),
        esophagus_shift=(vary(0, 2.2), vary(0, 1.2)),
        esophagus_air=float(rng.uniform(0.1, 0.9)),
        fat=vary(8, 2),
        contrast=float(rng.uniform(110, 210)),
        liver_top=vary(14, 9),
        rib_phase=float(rng.uniform(0, 1)),
    )


@dataclass(frozen=True, eq=False)
class Chest:
    """The patient's own coordinates at every point of a grid: ``x``, ``y`` are ``[Z, Y, X]``, ``z`` is ``[Z, 1, 1]``, mm."""

    patient: Patient
    x: Field
    y: Field
    z: Field


def spread_field(coarse: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> Field:
    """A coarse field made smooth and large: cubic splines along each axis, one after the other (far quicker than all at once)."""
    field = np.asarray(coarse, np.float32)
    for axis, (few, many) in enumerate(zip(coarse.shape, shape, strict=True)):
        weights = ndimage.zoom(np.eye(few, dtype=np.float32), (many / few, 1), order=3, mode="nearest")
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    return np.ascontiguousarray(field, np.float32)


def blend(z: Field, knots: tuple[float, ...], values: tuple[float, ...]) -> Field:
    """A value that follows the height: linear between the ``knots`` (mm of z), constant outside; same shape as ``z``."""
    return np.interp(z, knots, values).astype(np.float32)


def measure_ellipse(
    chest: Chest, centre: tuple[Length, Length], axes: tuple[Length, Length], *, blunt: bool = False
) -> Field:
    """Level of an ellipse in each axial plane, or of a blunter figure (power 2.5); centre and axes may follow the height."""
    across, deep = np.abs(chest.x - centre[0]) / axes[0], np.abs(chest.y - centre[1]) / axes[1]
    radius = _raise(across, deep) ** 0.4 if blunt else np.hypot(across, deep)
    return np.asarray((radius - 1) * np.minimum(axes[0], axes[1]), np.float32)


def _raise(*sides: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The sum of the sides to the power 2.5: products and a square root, because a general power takes ten times as long."""
    return np.asarray(sum(side * side * np.sqrt(side) for side in sides))


def measure_tube(chest: Chest, points: NDArray[np.float64], radius: float) -> Field:
    """Level of a round tube along straight pieces between ``points`` (n, 3) = (x, y, z) in mm."""
    level = np.full(chest.x.shape, 1e3, np.float32)
    low, high = points[:, 2].min() - 2 * radius, points[:, 2].max() + 2 * radius
    near = np.flatnonzero((chest.z[:, 0, 0] > low) & (chest.z[:, 0, 0] < high))
    if not near.size:
        return level
    slab = slice(int(near[0]), int(near[-1]) + 1)
    x, y, z = chest.x[slab], chest.y[slab], chest.z[slab]
    for start, end in zip(points[:-1].astype(np.float32), points[1:].astype(np.float32), strict=True):
        along = end - start
        share = ((x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]) / (along @ along)
        share = np.clip(share, 0, 1)
        squared = (x - start[0] - share * along[0]) ** 2 + (y - start[1] - share * along[1]) ** 2
        squared += (z - start[2] - share * along[2]) ** 2
        np.minimum(level[slab], np.sqrt(squared) - radius, out=level[slab])
    return level


def measure_heart(chest: Chest) -> Field:
    """Level of the heart: a blunt, turned ellipsoid whose apex points to the left and to the front."""
    patient = chest.patient
    x, y, z = (axis - centre for axis, centre in zip((chest.x, chest.y, chest.z), patient.heart_centre, strict=True))
    cos, sin = math.cos(patient.heart_turn), math.sin(patient.heart_turn)
    along, across = cos * x + sin * y, cos * y - sin * x
    a, b, c = patient.heart_axes
    across = across * (1 + 0.16 * np.clip(along / a, -1, 1.2))
    radius = _raise(np.abs(along / a), np.abs(across / b), np.abs(z / c)) ** 0.4
    return np.asarray((radius - 1) * b, np.float32)


def measure_aorta(chest: Chest) -> Field:
    """Level of the aorta: from its root in the heart up to the arch, over it and down beside the spine."""
    patient = chest.patient
    top, radius = patient.arch_height, patient.aorta_radius
    foot = top - 18
    arch = [
        (-11, -20, foot),
        (-7, -17, top - 9),
        (2, -10, top - 2),
        (13, 3, top),
        (20, 18, top - 4),
        (22.5, 31, top - 12),
    ]
    rising = [(2, -8, patient.heart_centre[2] + 30), (-5, -14, patient.heart_centre[2] + 39)]
    ascending = measure_tube(chest, np.array(rising + arch), radius * 1.06)
    height = (0.0, foot)
    centre = (blend(chest.z, height, (19, 23)), blend(chest.z, height, (43, 39)))
    axes = blend(chest.z, height, (radius * 0.9, radius))
    descending = np.where(chest.z < foot, measure_ellipse(chest, centre, (axes, axes)), 1e3)
    joint = measure_tube(chest, np.array([(22.5, 31, top - 12), (23, 39, foot), (23, 39, foot - 1)]), radius)
    return np.asarray(np.minimum(np.minimum(ascending, descending), joint), np.float32)


def measure_trachea(chest: Chest, wall: float = 0.0) -> Field:
    """Level of the windpipe above the carina (slightly flat behind); ``wall`` mm are added to its radius."""
    patient = chest.patient
    centre = (blend(chest.z, (60, HEIGHT_MM), (-6, -4)), blend(chest.z, (60, HEIGHT_MM), (17, 12)))
    widen = blend(chest.z, (patient.carina, patient.carina + 9), (1.35, 1.0))
    radius = patient.trachea_radius
    level = measure_ellipse(chest, centre, (radius * widen + wall, radius * 0.92 + wall))
    return np.where(chest.z < patient.carina, np.float32(1e3), level)


def measure_bronchi(chest: Chest, wall: float = 0.0) -> Field:
    """Level of the two main bronchi below the carina: air like the trachea, but not labelled."""
    patient = chest.patient
    top, radius = patient.carina, patient.trachea_radius * 0.68
    right = np.array([(-9, 17, top), (-19, 18, top - 12), (-33, 19, top - 27)])
    left = np.array([(-2, 17, top), (10, 18, top - 10), (28, 20, top - 22)])
    level = np.minimum(measure_tube(chest, right, radius + wall), measure_tube(chest, left, radius * 0.9 + wall))
    return np.where(chest.z < patient.carina, level, np.float32(1e3))


def measure_esophagus(chest: Chest, shrink: float = 1.0) -> Field:
    """Level of the gullet: a flat tube behind trachea and heart that wanders to the left on its way down."""
    patient, height = chest.patient, (0.0, 40.0, 80.0, HEIGHT_MM)
    sway = 1.6 * np.sin(chest.z / 17 + 9 * patient.rib_phase)
    x = blend(chest.z, height, (4, 1.5, 1, 0)) + patient.esophagus_shift[0] + sway
    y = blend(chest.z, height, (30, 29.5, 32, 29)) + patient.esophagus_shift[1]
    swell = 1 + 0.14 * np.sin(chest.z / 11 + 5 * patient.esophagus_air)
    a, b = patient.esophagus_axes
    return measure_ellipse(chest, (x, y), (a * swell * shrink, b * swell * shrink))
