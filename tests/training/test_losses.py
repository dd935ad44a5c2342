"""The loss against its definition written a second time, and at the edges where the usual form breaks."""

from __future__ import annotations

import math

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
