"""``weak``: boxes, ellipses and superpixels instead of outlines."""

from __future__ import annotations

import numpy as np
import pytest

from adelecli.errors import ConfigError
from adelecli.labels.classes import IGNORE
from adelecli.labels.noise.weak import fit_ellipse, simplify_outlines


def make_disc(radius: float, shape: tuple[int, int] = (50, 60), centre: tuple[float, float] = (25, 30)) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def simplify(plane: np.ndarray, classes: tuple[int, ...] = (1, 2), **options: object) -> np.ndarray:
    return simplify_outlines(plane[None], np.random.default_rng(0), classes, **options)[0]  # type: ignore[arg-type]


def test_each_piece_gets_its_own_box_without_covering_another_class() -> None:
    """Two discs of class 1 become two squares; class 2 inside one of the squares and ignore stay."""
    plane = (make_disc(8, centre=(12, 12)) | make_disc(6, centre=(35, 45))).astype(np.uint8)
    plane[5, 5], plane[5, 6] = 2, IGNORE
    expected = plane.copy()
    expected[4:21, 4:21], expected[29:42, 39:52] = 1, 1
    expected[5, 5], expected[5, 6] = 2, IGNORE
    np.testing.assert_array_equal(simplify(plane), expected)


def test_an_ellipse_stays_an_ellipse_and_a_square_becomes_round() -> None:
    """A disc is its own ellipse up to a few pixels; a square's has the same area but no corners."""
    disc = make_disc(15)
    assert np.count_nonzero(fit_ellipse(disc) != disc) <= 0.02 * disc.sum()
    square = np.zeros((40, 40), np.uint8)
    square[10:30, 10:30] = 1
    drawn = simplify(square, shape="ellipse")
    assert drawn[10, 10] == 0
    assert drawn[9, 20] == 1
    assert drawn.sum() == pytest.approx(400 * np.pi / 3, rel=0.03)  # moments of a square: side**2 / 12


def test_superpixels_are_whole_cells_that_follow_the_majority() -> None:
    """The outline gets coarse, the area stays, ignored pixels stay, and the draw decides where the cells lie."""
    plane = make_disc(15).astype(np.uint8)
    plane[25, 30] = IGNORE
    coarse = simplify(plane, shape="superpixel", cell=5)
    assert coarse[25, 30] == IGNORE
    wrong = np.count_nonzero(coarse != plane)
    assert 20 < wrong < 0.4 * plane.astype(bool).sum()
    assert (coarse == 1).sum() == pytest.approx((plane == 1).sum(), rel=0.1)
    other = simplify_outlines(plane[None], np.random.default_rng(1), (1,), shape="superpixel", cell=5)[0]
    assert (other != coarse).any()


def test_classes_that_were_not_named_stay() -> None:
    """Superpixels of class 1 leave class 2 as it is."""
    plane = make_disc(15).astype(np.uint8)
    plane[:, 30:][plane[:, 30:] == 1] = 2
    coarse = simplify(plane, (1,), shape="superpixel")
    np.testing.assert_array_equal(coarse == 2, plane == 2)
    assert (coarse != plane).any()


@pytest.mark.parametrize("options", [{"shape": "star"}, {"shape": "superpixel", "cell": 0}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    """Unknown shapes are answered with the known ones."""
    with pytest.raises(ConfigError, match="choose from box, ellipse, superpixel"):
        simplify(np.ones((3, 3), np.uint8), **options)
