"""The ceiling of a noise: exact on noises whose posterior is known, and as measured before on real masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adelecli.labels.classes import IGNORE
from adelecli.labels.noise.ceiling import Ceiling, estimate_posterior, measure_ceiling
from adelecli.labels.noise.registry import corrupt_labels

HIPPOCAMPUS = Path(__file__).parents[4] / "shared/data/msd_hippocampus_3d/masks"


def make_block() -> np.ndarray:
    labels = np.zeros((1, 4, 6), np.uint8)
    labels[0, 1:3, 1:5] = 1
    labels[0, 0, 0] = IGNORE
    return labels


def lose_half(share: float):
    """A noise that loses columns 3 and 4 of the block with probability ``share``."""

    def draw(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noisy = labels.copy()
        if rng.random() < share:
            noisy[0, 1:3, 3:5] = 0
        return noisy

    return draw


def test_the_posterior_is_the_share_of_the_draws() -> None:
    """1 where the noise never reaches, about the chance where it does, nothing on ignored voxels; sums to 1."""
    posterior = estimate_posterior(make_block(), lose_half(0.25), np.random.default_rng(0), n_classes=2, draws=400)
    assert posterior[1, 0, 1, 1] == 1
    assert posterior[1, 0, 1, 3] == pytest.approx(0.75, abs=0.06)
    assert posterior[:, 0, 0, 0].tolist() == [0, 0]
    np.testing.assert_allclose(posterior.sum(0)[0, 1:], 1)


def test_a_rare_loss_is_repaired_where_tau_lets_it() -> None:
    """Lost with .25, so the truth has .75: below tau .5 and .6 every draw is mended, at .8 nothing changes."""
    pooled: Ceiling | None = None
    for seed in range(20):
        one = measure_ceiling(make_block(), lose_half(0.25), np.random.default_rng(seed), n_classes=2, draws=100)
        pooled = one if pooled is None else pooled + one
    assert pooled is not None
    assert pooled.error_before > 0
    assert [rate.error_after for rate in pooled.rates] == [0, 0, pooled.error_before]
    assert pooled.rates[0].precision == pooled.rates[0].recall == 1
    assert (pooled.error_after, pooled.foreground_iou) == (0, 1)


def test_a_frequent_loss_cannot_be_repaired() -> None:
    """Lost with .8, so the posterior's own argmax lacks the half: IoU 4 of 8 pixels, and right labels are broken."""
    one = measure_ceiling(make_block(), lose_half(0.8), np.random.default_rng(1), n_classes=2, draws=200)
    assert one.foreground_iou == 0.5
    assert one.rates[0].error_after == 0.5


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="shared/data/msd_hippocampus_3d is not here")
@pytest.mark.parametrize(
    ("k", "error", "after", "iou"),
    [((2, 3, 4), 0.43, (0.33, 0.34, 0.41), 0.65), ((4,), 0.49, (0.49, 0.49, 0.49), 0.48),
     ((1, 2, 3, 4, 5), 0.43, (0.14, 0.21, 0.38), 0.84)],
)  # fmt: skip
def test_the_ceilings_of_the_design_are_found_again(
    k: tuple[int, ...], error: float, after: tuple[float, ...], iou: float
) -> None:
    """Evaluation.md, section 3 item 5, there on slices of 48x48: one draw's error, the share that each tau leaves, the IoU."""
    import nibabel as nib

    pooled: Ceiling | None = None
    for seed, path in enumerate(sorted(HIPPOCAMPUS.glob("*.nii.gz"))[::26]):
        labels = np.asarray(nib.load(path).dataobj).T.astype(np.uint8)[::2]

        def draw(true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return corrupt_labels(true, "adele-de", rng, n_classes=3, k=k)

        one = measure_ceiling(labels, draw, np.random.default_rng(seed), n_classes=3, draws=32)
        pooled = one if pooled is None else pooled + one
    assert pooled is not None
    assert pooled.error_before == pytest.approx(error, abs=0.1)  # of a single draw
    shares = [rate.error_after / pooled.error_before for rate in pooled.rates]
    assert shares == pytest.approx([value / error for value in after], abs=0.1)
    assert pooled.foreground_iou == pytest.approx(iou, abs=0.07)
