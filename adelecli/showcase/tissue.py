"""What fills the shapes of the phantom: tissue in Hounsfield units, painted from the skin inwards.

Kept apart from the geometry because this is where the difficulty of the demo lies: which organs look alike. The esophagus
must be hardly brighter than its surroundings, blood vessels must differ by place and not by brightness, and each patient's
contrast agent must differ. What must hold: labels are never decided here, only how they look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from adelecli.showcase.anatomy import (
    AORTA,
    ESOPHAGUS,
    HEART,
    HEIGHT_MM,
    TRACHEA,
    Chest,
    Field,
    blend,
    measure_bronchi,
    measure_ellipse,
    measure_esophagus,
    measure_heart,
    measure_trachea,
    measure_tube,
    spread_field,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR, LUNG, FAT, MUSCLE, BONE, MARROW = -1000.0, -850.0, -100.0, 45.0, 520.0, 170.0


def paint_tissue(chest: Chest, organs: NDArray[np.uint8], rng: np.random.Generator) -> Field:
    """HU ``[Z, Y, X]`` (float32) of the chest on its own grid; ``organs`` holds the labels on the same grid."""
    tissue = np.full(organs.shape, AIR, np.float32)
    _paint_wall(chest, tissue)
    _paint_lungs(chest, tissue, rng)
    _paint_bones(chest, tissue)
    _paint_vessels(chest, tissue)
    tissue[_inside(measure_bronchi(chest, wall=1.5))] = MUSCLE
    _paint_organs(chest, tissue, organs, rng)
    tissue[_inside(measure_bronchi(chest)) & (organs != HEART) & (organs != AORTA)] = AIR
    speckle = ndimage.gaussian_filter(rng.standard_normal(organs.shape).astype(np.float32), 1.5)
    body = tissue > FAT - 60
    tissue[body] += speckle[body] * np.float32(11 / speckle.std())
    return tissue


def _inside(level: Field) -> NDArray[np.bool_]:
    return level < 0


def _paint_wall(chest: Chest, tissue: Field) -> None:
    """Skin, the fat below it, the muscles of the chest wall and of the back, the fat of the mediastinum."""
    skin = measure_ellipse(chest, (0, 2), (113, 86), blunt=True)
    tissue[_inside(skin)] = FAT
    tissue[_inside(skin) & (skin > -1.6)] = 10
    tissue[_inside(skin + chest.patient.fat)] = MUSCLE
    tissue[_inside(measure_ellipse(chest, (0, -2), (40, 60), blunt=True))] = FAT + 22


def _paint_lungs(chest: Chest, tissue: Field, rng: np.random.Generator) -> None:
    """Two lungs that widen downwards, with vessels as bright specks that thin out to the rim, and the liver's dome below."""
    widen = blend(chest.z, (0, HEIGHT_MM), (1.0, 0.84))
    level = np.minimum(
        measure_ellipse(chest, (-55, 1), (37 * widen, 63 * widen), blunt=True),
        measure_ellipse(chest, (57, 3), (35 * widen, 61 * widen), blunt=True),
    )
    middle = measure_ellipse(chest, (2, 0), (blend(chest.z, (40, 90), (24, 31)), 70), blunt=True)
    lung = _inside(level) & ~_inside(middle)
    noise = ndimage.gaussian_filter(rng.standard_normal(tissue.shape).astype(np.float32), (0.8, 1.1, 1.1))
    noise /= noise.std()
    depth = np.clip(-level / 30, 0, 1)
    vessels = np.clip(noise - 1.75 + 0.55 * depth, 0, 1) * 900
    tissue[lung] = (LUNG + 45 * (chest.y / 60) + vessels + 14 * noise)[lung]
    dome = np.sqrt(
        ((chest.x + 50) / 46) ** 2 + ((chest.y + 4) / 58) ** 2 + ((chest.z + 30) / (30 + chest.patient.liver_top)) ** 2
    )
    tissue[(dome < 1) & (lung | _inside(middle))] = 68


def _paint_bones(chest: Chest, tissue: Field) -> None:
    """Vertebrae and discs with canal and spine behind them, the breastbone, and ribs that slope forwards."""
    disc = np.broadcast_to(np.abs((chest.z + 9 * chest.patient.rib_phase) % 25 - 12.5) > 10.5, tissue.shape)
    vertebra = measure_ellipse(chest, (0, 58), (17, 13.5), blunt=True)
    spine = np.minimum(measure_ellipse(chest, (0, 76), (13, 8)), measure_ellipse(chest, (0, 82), (3.4, 11)))
    spine = np.minimum(spine, measure_ellipse(chest, (0, 74), (25, 3.6)))
    tissue[_inside(spine)] = np.where(spine > -2, BONE - 120, MARROW + 60)[_inside(spine)]
    tissue[_inside(vertebra)] = np.where(vertebra > -2.2, BONE - 60, MARROW)[_inside(vertebra)]
    tissue[_inside(vertebra) & disc] = 85
    tissue[_inside(measure_ellipse(chest, (0, 73), (7.5, 5.5)))] = 25
    breast = measure_ellipse(chest, (0, -68), (16, 5), blunt=True)
    tissue[_inside(breast)] = np.where(breast > -1.8, 380, 130)[_inside(breast)]
    ring = measure_ellipse(chest, (0, 1), (100, 73), blunt=True)
    angle = np.arctan2(np.abs(chest.x), chest.y)
    phase = (chest.z / 27 + 0.95 * angle + chest.patient.rib_phase) % 1
    rib = (np.abs(ring + 1) < 4) & (phase < 0.42) & (angle > 0.35) & (angle < 2.75)
    tissue[rib] = np.where(np.abs(ring + 1) > 2.2, 430, 210)[rib]


def _paint_vessels(chest: Chest, tissue: Field) -> None:
    """Blood that is not labelled: lung artery with its two branches, vena cava, branches of the arch, pulmonary veins."""
    patient = chest.patient
    blood = patient.contrast
    base = patient.heart_centre[2]
    tissue[_inside(measure_ellipse(chest, (-25, -2), (8, 9))) & (chest.z > base + 15)] = blood + 25
    trunk = np.array([(14, -28, base + 20), (15, -20, base + 38), (20, -2, base + 46), (34, 8, base + 44)])
    tissue[_inside(measure_tube(chest, trunk, 10.5))] = blood + 8
    right = np.array([(14, -12, base + 42), (-12, 2, base + 38), (-34, 10, base + 34)])
    tissue[_inside(measure_tube(chest, right, 7.5))] = blood + 8
    top = patient.arch_height
    branches = (
        [(-10, -14, top + 2), (-17, -10, HEIGHT_MM + 25)],
        [(8, -2, top + 8), (6, 0, HEIGHT_MM + 25)],
        [(18, 10, top + 4), (20, 12, HEIGHT_MM + 25)],
    )
    for branch in branches:
        tissue[_inside(measure_tube(chest, np.array(branch), 5))] = blood - 8


def _paint_organs(chest: Chest, tissue: Field, organs: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """The labelled four: muscle wall and chambers of the heart, blood, air in the trachea, a grey gullet with some gas."""
    blood = chest.patient.contrast
    heart = organs == HEART
    depth = -measure_heart(chest)
    lobes = spread_field(rng.standard_normal((6, 7, 8)), tissue.shape)
    tissue[heart] = np.where((depth > 7) & (lobes > -0.4), blood - 22, 80)[heart]
    tissue[heart & (depth < 1.5)] = FAT + 60
    tissue[organs == AORTA] = blood
    gullet = organs == ESOPHAGUS
    tissue[gullet] = 22
    gas = np.sin(chest.z / 9 + 12 * chest.patient.esophagus_air) > 1.2 - chest.patient.esophagus_air
    tissue[gullet & _inside(measure_esophagus(chest, shrink=0.33)) & gas] = -420
    windpipe = organs == TRACHEA
    tissue[windpipe] = np.where(measure_trachea(chest) < 0, AIR + 8, MUSCLE)[windpipe]
