"""The loss against its definition written a second time, and at the edges where the usual form breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adelecli.training.losses import jensen_shannon, mean_cross_entropy, soft_dice

IGNORE = 255


def random_logits(scales: int = 3, spread: float = 2.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [spread * torch.randn(2, 4, 5, 6, generator=generator) for _ in range(scales)]


def test_cross_entropy_is_the_mean_over_scales_and_valid_pixels() -> None:
    """mean_s of -log softmax(z_s)[y], ignored pixels left out."""
    logits = random_logits()
    labels = torch.randint(0, 4, (2, 5, 6), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = IGNORE
    total, count = 0.0, 0
    for n in range(2):
        for y in range(5):
            for x in range(6):
                if labels[n, y, x] != IGNORE:
                    count += 1
                    total += sum(
                        -float(torch.softmax(z[n, :, y, x].double(), 0)[labels[n, y, x]].log()) for z in logits
                    )
    assert float(mean_cross_entropy(logits, labels)) == pytest.approx(total / count / 3, rel=1e-5)


def test_a_batch_without_valid_pixels_gives_zero_with_finite_gradients() -> None:
    """All ignore: 0, not NaN, in every term."""
    logits = [z.requires_grad_() for z in random_logits()]
    labels = torch.full((2, 5, 6), IGNORE)
    loss = (
        mean_cross_entropy(logits, labels)
        + jensen_shannon(logits, labels != IGNORE, 0.0)
        + soft_dice(logits[0], labels)
    )
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(torch.isfinite(z.grad).all() for z in logits if z.grad is not None)


def test_jensen_shannon_is_the_entropy_of_the_mean_minus_the_mean_entropy() -> None:
    """JSD = H(mean p_s) - mean H(p_s), averaged over valid pixels."""
    logits = random_logits()
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    valid[1, 3:] = False
    p = torch.stack([z.double().softmax(1) for z in logits])

    def entropy(q: torch.Tensor) -> torch.Tensor:
        return -(q * q.log()).sum(1)

    expected = entropy(p.mean(0)) - torch.stack([entropy(one) for one in p]).mean(0)
    assert float(jensen_shannon(logits, valid, 0.0)) == pytest.approx(float(expected[valid].mean()), rel=1e-5)
    assert 0 <= float(jensen_shannon(logits, valid, 0.0)) <= math.log(3)


def test_equal_scales_are_consistent() -> None:
    """No divergence between equal predictions."""
    z = random_logits(1)[0]
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    assert float(jensen_shannon([z, z, z], valid, 0.0)) == pytest.approx(0.0, abs=1e-6)


def test_the_gate_decides_per_image() -> None:
    """An image whose max q stays below the gate does not count; the other one counts alone."""
    logits = random_logits(spread=0.1)
    for z in logits:
        z[1] *= 100
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    alone = jensen_shannon([z[1:] for z in logits], valid[1:], 0.0)
    assert float(jensen_shannon(logits, valid, 0.8)) == pytest.approx(float(alone), rel=1e-6)
    assert float(jensen_shannon([z[:1] for z in logits], valid[:1], 0.8)) == 0.0


@pytest.mark.parametrize("gap", [104.0, 200.0])
def test_gradients_stay_finite_at_wide_logit_gaps(gap: float) -> None:
    """The kl_div form of the reference gives NaN gradients from a gap of 104; this one does not, in half precision too."""
    for dtype in (torch.float32, torch.float16):
        first = torch.tensor([0.0, gap], dtype=dtype).view(1, 2, 1, 1).requires_grad_()
        second = torch.tensor([gap, 0.0], dtype=dtype).view(1, 2, 1, 1).requires_grad_()
        loss = jensen_shannon([first, second], torch.ones(1, 1, 1, dtype=torch.bool), 0.0)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(math.log(2), rel=1e-3)
        assert first.grad is not None
        assert torch.isfinite(first.grad).all()


def test_soft_dice_counts_present_foreground_only() -> None:
    """A perfect prediction gives nearly 0, a wrong one more; an absent class is not pushed away."""
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :4] = 1
    right = torch.nn.functional.one_hot(labels, 3).movedim(3, 1).float() * 40
    assert float(soft_dice(right, labels)) < 0.01
    assert float(soft_dice(-right, labels)) > 0.9
    assert float(soft_dice(right, torch.zeros_like(labels))) == 0.0


def derive_loss(logits: list[np.ndarray], labels: np.ndarray, temperature: float, weight: float, gate: float) -> float:
    """Algorithm section 5 once more, in float64 numpy, pixel by pixel from the definitions."""

    def log_softmax(z: np.ndarray) -> np.ndarray:
        shifted = z - z.max(0)
        return shifted - np.log(np.exp(shifted).sum(0))

    crosses, divergences = [], []
    for n in range(len(labels)):
        p = np.stack([np.exp(log_softmax(z[n].astype(np.float64))) for z in logits])
        q = p.mean(0)
        valid = labels[n] != IGNORE
        for y, x in np.argwhere(valid):
            terms = [-log_softmax(z[n, :, y, x].astype(np.float64) / temperature)[labels[n, y, x]] for z in logits]
            crosses.append(np.mean(terms))
        if valid.any() and q.max(0)[valid].max() >= gate:
            # 0 log 0 = 0; where p > 0, q >= p / S > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                each = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0).sum(1).mean(0)
            divergences.extend(each[valid])
    return float(np.mean(crosses) + weight * (np.mean(divergences) if divergences else 0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("spread", [1.0, 5.0, 100.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_equals_an_independent_derivation(dtype: torch.dtype, spread: float, temperature: float) -> None:
    """Value to float32 precision, and finite gradients, up to logit gaps of 200 and from half precision too."""
    generator = torch.Generator().manual_seed(3)
    raw = [(torch.rand(3, 4, 3, 5, generator=generator) * 2 - 1) * spread for _ in range(3)]
    raw[0][0, 0, 0, 0], raw[0][0, 1, 0, 0], raw[1][0, 0, 0, 0], raw[1][0, 1, 0, 0] = spread, -spread, -spread, spread
    logits = [z.to(dtype).requires_grad_() for z in raw]
    labels = torch.randint(0, 4, (3, 3, 5), generator=generator)
    labels[0, 0, 1:3] = IGNORE
    labels[2] = IGNORE
    loss = mean_cross_entropy(logits, labels, temperature) + 0.7 * jensen_shannon(logits, labels != IGNORE, 0.8)
    loss.backward()
    plain = [z.detach().float().numpy() for z in logits]
    assert float(loss.detach()) == pytest.approx(derive_loss(plain, labels.numpy(), temperature, 0.7, 0.8), rel=2e-5)
    assert all(z.grad is not None and torch.isfinite(z.grad).all() for z in logits)
    assert all(float(z.grad[labels.eq(IGNORE)[:, None].expand_as(z)].abs().sum()) == 0 for z in logits)  # type: ignore[index]


def test_padding_and_ignored_pixels_change_nothing() -> None:
    """Whatever the logits say there, the loss stays: also where only an ignored pixel is sure enough for the gate."""
    logits = random_logits(spread=0.3)
    labels = torch.randint(0, 4, (2, 5, 6), generator=torch.Generator().manual_seed(1))
    labels[:, 3:], labels[:, :, 5] = IGNORE, IGNORE
    wild = [z.clone() for z in logits]
    for z in wild:
        z[:, 0, 3:] = 150.0
        z[:, 2, :, 5] = -150.0
    for first, second in ((mean_cross_entropy(logits, labels), mean_cross_entropy(wild, labels)),
                          (jensen_shannon(logits, labels != IGNORE, 0.8), jensen_shannon(wild, labels != IGNORE, 0.8)),
                          (soft_dice(logits[0], labels), soft_dice(wild[0], labels))):  # fmt: skip
        assert float(first) == pytest.approx(float(second), rel=1e-6)
    assert float(jensen_shannon(wild, labels != IGNORE, 0.8)) == 0
