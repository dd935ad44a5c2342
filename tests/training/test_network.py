"""Scales, padding and the ensemble: what training computes is what the exported graph will compute."""

from __future__ import annotations

import pytest
import torch

from adelecli.training.network import MultiScale, build_network, forward_scale, logits_at_scales, set_prior_bias
from adelecli.training.settings import NetworkSettings

SCALES = ((7, 10), (1, 1), (3, 2))


@pytest.fixture(scope="module", params=["group", "instance", "batch"])
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkSettings(width=4, depth=2, norm=request.param), 2, 3).eval()


@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_every_norm_builds_a_network_of_the_asked_shape(norm: str) -> None:
    """Logits have K channels and the size of the image."""
    network = build_network(NetworkSettings(width=6, depth=3, norm=norm), 1, 5).eval()  # type: ignore[arg-type]
    assert network(torch.zeros(2, 1, 16, 24)).shape == (2, 5, 16, 24)


@pytest.mark.parametrize(("h", "w"), [(1, 1), (9, 30), (17, 23), (31, 32)])
def test_any_size_works_at_every_scale(network: torch.nn.Module, h: int, w: int) -> None:
    """Slices smaller than the stride and odd sizes at .7: scaled sizes are rounded, results come back on the image."""
    image = torch.randn(2, 2, h, w)
    for n, d in SCALES:
        expected = (max(1, (h * n + d // 2) // d), max(1, (w * n + d // 2) // d))
        assert forward_scale(network, image, (n, d), 4).shape == (2, 3, *expected)
    assert all(z.shape == (2, 3, h, w) for z in logits_at_scales(network, image, SCALES, 4))


def test_padding_repeats_the_border(network: torch.nn.Module) -> None:
    """Scale 1 of a 6x7 image equals the network on the image padded by repetition to 8x8, cropped."""
    image = torch.randn(1, 2, 6, 7)
    padded = torch.cat([image, image[:, :, -1:].expand(-1, -1, 2, -1)], 2)
    padded = torch.cat([padded, padded[..., -1:]], 3)
    assert torch.equal(forward_scale(network, image, (1, 1), 4), network(padded)[:, :, :6, :7])


def test_the_ensemble_averages_probabilities(network: torch.nn.Module) -> None:
    """Q = mean_s softmax(z_s); label and confidence are its argmax and max."""
    image = torch.randn(2, 2, 13, 18)
    with torch.no_grad():
        expected = torch.stack([z.softmax(1) for z in logits_at_scales(network, image, SCALES, 4)]).mean(0)
        probabilities, label, confidence = MultiScale(network, SCALES, 4)(image)
    assert torch.allclose(probabilities, expected, atol=1e-6)
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 13, 18), atol=1e-5)
    assert torch.equal(label.long(), probabilities.argmax(1))
    assert torch.equal(confidence, probabilities.amax(1))


def test_a_temperature_softens_each_scale_before_the_mean(network: torch.nn.Module) -> None:
    """Q = mean_s softmax(z_s / T)."""
    image = torch.randn(1, 2, 9, 8)
    with torch.no_grad():
        expected = torch.stack([(z / 3).softmax(1) for z in logits_at_scales(network, image, SCALES, 4)]).mean(0)
        probabilities, _, confidence = MultiScale(network, SCALES, 4, temperature=3.0)(image)
    assert torch.allclose(probabilities, expected, atol=1e-6)
    assert torch.equal(confidence, probabilities.amax(1))


def test_the_first_prediction_is_the_prior() -> None:
    """With the prior bias a fresh network's mean probability of a rare class is near its share."""
    torch.manual_seed(0)
    network = build_network(NetworkSettings(width=8, depth=2), 1, 3).eval()
    set_prior_bias(network, [0.9, 0.09, 0.01])
    head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    assert head.bias is not None
    assert torch.allclose(head.bias.detach().softmax(0), torch.tensor([0.9, 0.09, 0.01]), atol=1e-4)
