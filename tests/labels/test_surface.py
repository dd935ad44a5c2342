"""Surface distances: known figures, MONAI's values, and what empty masks mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from adelecli.labels.surface import find_boundary_band, measure_surfaces

SPACING = (3.0, 0.5, 1.25)


def make_blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(2, *shape))
    first, second = (gaussian_filter(part, 2) for part in noise)
    return first > 0.05, (0.7 * first + 0.3 * second) > 0.05


def test_distance_between_two_planes_is_their_distance_in_mm() -> None:
    """Two one-voxel slabs 4 voxels apart along an axis of 3 mm are 12 mm apart, however measured."""
    a, b = np.zeros((10, 6, 6), bool), np.zeros((10, 6, 6), bool)
    a[2], b[6] = True, True
    assert measure_surfaces(a, b, SPACING).hausdorff95 == pytest.approx(12.0)
    assert measure_surfaces(a, b, SPACING).average == pytest.approx(12.0)


def test_equal_masks_have_no_distance() -> None:
    """A mask is 0 mm from itself."""
    a, _ = make_blobs(0, (12, 14, 16))
    assert measure_surfaces(a, a, SPACING).hausdorff95 == 0.0
    assert measure_surfaces(a, a, SPACING).average == 0.0


# MONAI calls itself with an argument that it deprecates
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize(("shape", "spacing"), [((14, 20, 18), SPACING), ((30, 40), (0.8, 1.7))])
@pytest.mark.parametrize("seed", [0, 1])
def test_distances_agree_with_monai(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> None:
    """HD95 and ASSD are MONAI's, in 2D and 3D, with uneven spacing and masks that touch the border."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    a, b = make_blobs(seed, shape)
    tensors = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b)]
    expected = metrics.compute_hausdorff_distance(
        *tensors, include_background=True, percentile=95, spacing=list(spacing)
    )
    assert measure_surfaces(a, b, spacing).hausdorff95 == pytest.approx(expected.item(), rel=1e-5)
    expected = metrics.compute_average_surface_distance(
        *tensors, include_background=True, symmetric=True, spacing=list(spacing)
    )
    assert measure_surfaces(a, b, spacing).average == pytest.approx(expected.item(), rel=1e-5)


def test_distances_are_symmetric_and_measured_once() -> None:
    """Exchanging the masks exchanges the directions and nothing else."""
    a, b = make_blobs(3, (10, 12, 14))
    there, back = measure_surfaces(a, b, SPACING), measure_surfaces(b, a, SPACING)
    np.testing.assert_array_equal(there.forward, back.backward)
    assert there.hausdorff95 == back.hausdorff95
    assert there.average == pytest.approx(back.average)


def test_empty_masks() -> None:
    """Nothing against nothing is undefined; nothing against something is infinitely far."""
    a, b = np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    assert math.isnan(measure_surfaces(a, b, SPACING).hausdorff95)
    assert math.isnan(measure_surfaces(a, b, SPACING).average)
    b[1, 1, 1] = True
    assert measure_surfaces(a, b, SPACING).hausdorff95 == math.inf
    assert measure_surfaces(b, a, SPACING).average == math.inf


def test_contradicting_arguments_are_refused() -> None:
    """Different shapes, or a spacing for another number of axes, are the caller's mistake."""
    with pytest.raises(ValueError, match="2 spacings"):
        measure_surfaces(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), (1.0, 1.0))


def test_boundary_band_reaches_as_many_mm_as_asked() -> None:
    """Around a boundary between columns 4 and 5 at 1 mm, 2 mm reach columns 2..7; without a boundary there is no band."""
    labels = np.zeros((1, 3, 10), np.uint8)
    assert not find_boundary_band(labels, (1.0, 1.0, 1.0)).any()
    labels[..., 5:] = 1
    band = find_boundary_band(labels, (1.0, 1.0, 1.0), width=2.0)
    assert np.flatnonzero(band[0, 1]).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.flatnonzero(find_boundary_band(labels, (1, 1, 2.5), 2.0)[0, 1]).tolist() == [4, 5]
