"""``adele-de``: exact damage at 1000 pixels, equal damage at any size, and the measured strength on real masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE
from adelecli.labels.noise.adele_de import damage_outlines, damage_slice
from adelecli.labels.overlap import confusion, iou_scores, label_error

HIPPOCAMPUS = Path(__file__).parents[4] / "shared/data/msd_hippocampus_3d/masks"


def make_disc(radius: float, size: int = 128) -> np.ndarray:
    y, x = np.indices((size, size)) - size / 2 + 0.5
    return (y**2 + x**2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_thousand_pixels_lose_or_gain_exactly_k(k: int) -> None:
    """A 25 x 40 rectangle needs no rescaling: k iterations of a 3x3 kernel take or add k pixels on each side."""
    plane = np.zeros((64, 80), np.uint8)
    plane[20:45, 20:60] = 1
    expected = np.zeros_like(plane)
    expected[20 + k : 45 - k, 20 + k : 60 - k] = 1
    np.testing.assert_array_equal(damage_slice(plane, (1,), "erode", k), expected)
    expected[20 - k : 45 + k, 20 - k : 60 + k] = 1
    np.testing.assert_array_equal(damage_slice(plane, (1,), "dilate", k), expected)


def test_four_thousand_pixels_lose_twice_as_much() -> None:
    """At twice the side the same k is twice as wide, because the damage is done at 1000 pixels."""
    plane = np.zeros((128, 160), np.uint8)
    plane[40:90, 40:120] = 1
    expected = np.zeros_like(plane)
    expected[46:84, 46:114] = 1
    np.testing.assert_array_equal(damage_slice(plane, (1,), "erode", 3), expected)


@pytest.mark.parametrize("mode", ["erode", "dilate"])
def test_relative_damage_does_not_depend_on_size(mode: str) -> None:
    """Discs of radius 6 to 40 keep the same IoU within a few hundredths."""
    scores = []
    for radius in (6, 10, 18, 40):
        clean = make_disc(radius)
        noisy = damage_slice(clean, (1,), mode, 3)  # type: ignore[arg-type]
        scores.append(iou_scores(confusion(noisy, clean, 2))[1])
    assert max(scores) - min(scores) < 0.06
    assert np.mean(scores) == pytest.approx({"erode": 0.61, "dilate": 0.68}[mode], abs=0.03)


def test_an_object_at_the_border_is_not_eaten_from_outside() -> None:
    """What lies beyond the image is unknown: the side along the border stays."""
    plane = np.zeros((25, 60), np.uint8)
    plane[:, :40] = 1
    damaged = damage_slice(plane, (1,), "erode", 3)
    assert (damaged[:, :37] == 1).all()
    assert (damaged[:, 37:] == 0).all()


def test_dilation_takes_background_only_in_the_given_order() -> None:
    """Two touching classes never take pixels from each other; the first in the order takes the gap."""
    plane = np.zeros((60, 60), np.uint8)
    plane[20:40, 10:29], plane[20:40, 31:50], plane[0, 0] = 1, 2, IGNORE
    first, second = damage_slice(plane, (1, 2), "dilate", 4), damage_slice(plane, (2, 1), "dilate", 4)
    for damaged in (first, second):
        np.testing.assert_array_equal(damaged[plane > 0], plane[plane > 0])
        assert (damaged[30, 10:50] > 0).all()
    assert (first[30, 29:31] == 1).all()
    assert (second[30, 29:31] == 2).all()


def test_erosion_leaves_background_only() -> None:
    """An eroded class loses pixels to background; no class gains."""
    plane = np.zeros((60, 60), np.uint8)
    plane[20:40, 10:30], plane[20:40, 30:50] = 1, 2
    damaged = damage_slice(plane, (1, 2), "erode", 2)
    assert set(np.unique(damaged[damaged != plane])) == {0}
    assert (damaged != plane).any()


def test_one_mode_per_slice_drawn_by_a_fair_coin() -> None:
    """In 200 equal slices about half shrink and half grow, both classes together, with each k drawn."""
    plane = np.zeros((45, 120), np.uint8)
    plane[10:35, 10:50], plane[10:35, 70:110] = 1, 2
    labels = np.repeat(plane[None], 200, 0)
    noisy = damage_outlines(labels, np.random.default_rng(0), (1, 2), k=(1, 3))
    growth = np.stack([(noisy == c).sum((1, 2)).astype(int) - 1000 for c in (1, 2)])
    assert (np.sign(growth[0]) == np.sign(growth[1])).all()
    assert 80 <= (growth[0] > 0).sum() <= 120
    assert len(np.unique(growth[0])) == 4


def test_options_are_checked() -> None:
    """Numbers of iterations and modes that cannot be are refused."""
    labels, rng = np.ones((1, 2, 2), np.uint8), np.random.default_rng(0)
    for k in ((), (-1,), (1.5,)):
        with pytest.raises(ConfigError, match="k is"):
            damage_outlines(labels, rng, (1,), k=k)
    with pytest.raises(ConfigError, match="mode is 'shrink'"):
        damage_outlines(labels, rng, (1,), mode="shrink")  # type: ignore[arg-type]


def areas_of(labels: np.ndarray) -> np.ndarray:
    """Pixels of the two discs in each slice, [Z, 2]."""
    return np.stack([(labels == index).sum((1, 2)) for index in (1, 2)], 1).astype(int)


def two_discs(slices: int = 12) -> np.ndarray:
    """The same two discs in every slice, far from each other."""
    plane = np.concatenate([make_disc(18, 80), 2 * make_disc(18, 80)], 1)
    return np.stack([plane] * slices)


def test_coherent_classes_err_alike_in_every_slice_and_each_in_its_own_way() -> None:
    """One draw of mode and k per case and class: all slices equal, and in some of 20 cases one class grows and the other shrinks."""
    clean = two_discs()
    opposite = 0
    for seed in range(20):
        noisy = damage_outlines(clean, np.random.default_rng(seed), (1, 2), mode="each", coherent=True)
        assert (noisy == noisy[:1]).all()
        growth = areas_of(noisy)[0] - areas_of(clean)[0]
        opposite += bool(growth[0] * growth[1] < 0)
    assert 4 <= opposite <= 16


def test_without_coherence_every_class_of_every_slice_draws_anew() -> None:
    """Per class: both directions occur in each class and the classes disagree in some slices; by default they share each draw."""
    clean = two_discs(40)
    growth = np.sign(areas_of(damage_outlines(clean, np.random.default_rng(0), (1, 2), mode="each")) - areas_of(clean))
    assert {tuple(row) for row in growth} == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    shared = np.sign(areas_of(damage_outlines(clean, np.random.default_rng(0), (1, 2))) - areas_of(clean))
    assert {tuple(row) for row in shared} == {(-1, -1), (1, 1)}


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="the hippocampus masks are not here")
@pytest.mark.parametrize(("k", "iou", "error"), [((2, 3, 4), 0.61, 0.39), ((1, 2, 3, 4, 5), 0.62, 0.38)])
def test_measured_strength_on_real_masks(k: tuple[int, ...], iou: float, error: float) -> None:
    """On 50 hippocampus masks the pooled foreground label mIoU is .61 and .62, the label error .39 and .38."""
    import nibabel

    counts, wrong = np.zeros((3, 3), np.int64), None
    rng = np.random.default_rng(0)
    for path in sorted(HIPPOCAMPUS.glob("*.nii*"))[:50]:
        clean = np.asarray(nibabel.load(path).dataobj).T.astype(np.uint8)
        noisy = damage_outlines(clean, rng, (1, 2), k=k)
        counts += confusion(noisy, clean, 3)
        found = label_error(noisy, clean, n_classes=3)
        wrong = found if wrong is None else wrong + found
    assert wrong is not None
    assert iou_scores(counts)[1:].mean() == pytest.approx(iou, abs=0.02)
    assert wrong.overall.error_before == pytest.approx(error, abs=0.02)
