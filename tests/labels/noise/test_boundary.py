"""``boundary``: a walk that stays at the boundary and follows its bias."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt

from adelecli.errors import ConfigError
from adelecli.labels.noise.boundary import walk_boundaries

PLANE = np.zeros((40, 60), np.uint8)
PLANE[10:30, 8:28] = 1
PLANE[10:30, 32:52] = 2


def walk(seed: int = 0, slices: int = 30, **options: object) -> np.ndarray:
    labels = np.repeat(PLANE[None], slices, 0)
    return walk_boundaries(labels, np.random.default_rng(seed), (1, 2), **options)  # type: ignore[arg-type]


def test_the_bias_decides_between_growth_and_loss() -> None:
    """Expanding with .8 grows on average, with .2 shrinks, with .5 keeps about the size."""
    sizes = {bias: (walk(expand=bias) == 1).sum((1, 2)).mean() for bias in (0.2, 0.5, 0.8)}
    assert sizes[0.2] < 0.8 * 400
    assert sizes[0.5] == pytest.approx(400, rel=0.1)
    assert sizes[0.8] > 1.2 * 400


def test_no_pixel_farther_than_the_number_of_steps_changes() -> None:
    """In n steps the boundary moves by at most n pixels, and never over the other class."""
    steps = 3
    walked = walk(steps=steps)
    for c in (1, 2):
        inside, outside = distance_transform_cdt(c == PLANE, "taxicab"), distance_transform_cdt(c != PLANE, "taxicab")
        changed = ((walked == c) != (c == PLANE)).any(0)
        assert np.maximum(inside, outside)[changed].max() <= steps
    grown = walk(expand=1.0)
    np.testing.assert_array_equal(grown[:, PLANE > 0], np.repeat(PLANE[PLANE > 0][None], 30, 0))


def test_no_steps_change_nothing() -> None:
    """Zero steps are no noise."""
    np.testing.assert_array_equal(walk(steps=0), np.repeat(PLANE[None], 30, 0))


def test_an_object_at_the_border_is_not_eaten_from_outside() -> None:
    """A slice filled by one class has no boundary and cannot shrink."""
    full = np.ones((1, 8, 8), np.uint8)
    np.testing.assert_array_equal(walk_boundaries(full, np.random.default_rng(0), (1,), expand=0.0), full)


@pytest.mark.parametrize("options", [{"steps": -1}, {"expand": 1.5}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    """Probabilities lie in 0..1."""
    with pytest.raises(ConfigError, match="choose 0 or more steps"):
        walk(**options)
