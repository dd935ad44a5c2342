"""The rivals' losses against their formulas, written a second time in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adelecli.training.losses import mean_cross_entropy
from adelecli.training.robust import CrossEntropy, GeneralisedCrossEntropy, TLoss, make_criterion
from adelecli.training.settings import LossSettings

IGNORE = 255


def make_batch(classes: int = 3) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = [2 * torch.randn(2, classes, 4, 5, generator=generator) for _ in range(2)]
    labels = torch.randint(0, classes, (2, 4, 5), generator=generator)
    labels[0, 0, :3] = IGNORE
    return logits, labels


def soften(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_gce_is_one_minus_p_to_the_q_over_q() -> None:
    """(1 - p_y^q) / q, averaged over valid pixels and scales."""
    logits, labels = make_batch()
    y = labels.numpy()
    expected = []
    for z in logits:
        p = soften(z.double().numpy())
        values = [(1 - p[n, y[n, r, c], r, c] ** 0.7) / 0.7 for n, r, c in zip(*np.nonzero(y != IGNORE), strict=True)]
        expected.append(np.mean(values))
    assert float(GeneralisedCrossEntropy(0.7)(logits, labels)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_gce_is_cross_entropy_in_the_limit_and_absolute_error_at_one() -> None:
    """Q -> 0 gives -log p_y; q = 1 gives 1 - p_y."""
    logits, labels = make_batch()
    near = GeneralisedCrossEntropy(1e-4)([z.double() for z in logits], labels)
    assert float(near) == pytest.approx(float(mean_cross_entropy(logits, labels)), rel=2e-3)
    one = torch.zeros(1, 2, 1, 1)
    assert float(GeneralisedCrossEntropy(1.0)([one], torch.zeros(1, 1, 1, dtype=torch.long))) == pytest.approx(0.5)


def test_tloss_is_the_student_likelihood_of_each_image_and_class() -> None:
    """-log of the multivariate t density with identity scale, one class against the rest, per valid pixel."""
    logits, labels = make_batch()
    loss = TLoss(3)
    with torch.no_grad():
        loss.log_nu.copy_(torch.tensor([0.3, -0.5]))
    y, terms = labels.numpy(), []
    for z in logits:
        p = soften(z.double().numpy())
        for n in range(2):
            valid = y[n] != IGNORE
            size = int(valid.sum())
            for k, nu in ((1, math.exp(0.3)), (2, math.exp(-0.5))):
                delta = (p[n, k] - (y[n] == k))[valid]
                density = (
                    math.lgamma((nu + size) / 2)
                    - math.lgamma(nu / 2)
                    - size / 2 * math.log(math.pi * nu)
                    - (nu + size) / 2 * math.log(1 + float(delta @ delta) / nu)
                )
                terms.append(-density / size)
    assert float(loss(logits, labels).detach()) == pytest.approx(np.mean(terms), rel=1e-5)


def test_tloss_learns_its_tail() -> None:
    """Nu gets a gradient, so that the optimiser moves it; a perfect prediction costs less than a wrong one."""
    logits, labels = make_batch()
    loss = TLoss(3)
    loss(logits, labels).backward()
    assert loss.log_nu.grad is not None
    assert bool((loss.log_nu.grad != 0).all())
    right = torch.nn.functional.one_hot(labels.clamp(max=2), 3).movedim(3, 1).float() * 40
    assert float(loss([right], labels).detach()) < float(loss([-right], labels).detach())


@pytest.mark.parametrize("kind", ["ce", "gce", "tloss"])
def test_a_batch_without_a_valid_pixel_gives_zero_with_finite_gradients(kind: str) -> None:
    """All ignore: 0, never NaN, for every criterion."""
    z = torch.randn(2, 3, 4, 4).requires_grad_()
    loss = make_criterion(LossSettings(kind=kind), 3)([z], torch.full((2, 4, 4), IGNORE))  # type: ignore[arg-type]
    loss.backward()
    assert float(loss.detach()) == 0
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


def test_the_default_criterion_is_cross_entropy_without_parameters() -> None:
    """So a checkpoint of a plain run holds what it held before."""
    criterion = make_criterion(LossSettings(), 4)
    assert isinstance(criterion, CrossEntropy)
    assert not list(criterion.parameters())
    logits, labels = make_batch()
    assert torch.equal(criterion(logits, labels), mean_cross_entropy(logits, labels))
