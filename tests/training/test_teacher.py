"""The moving average is the formula, and it never trains."""

from __future__ import annotations

import torch

from adelecli.training.teacher import make_teacher, update_teacher


def test_the_average_follows_its_formula() -> None:
    """Teacher <- d * teacher + (1 - d) * network with d = min(decay, (1 + t) / (10 + t)); buffers are copied."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    teacher = make_teacher(network)
    expected = network[0].weight.detach().clone()
    for step in (1, 2, 500):
        with torch.no_grad():
            network[0].weight.add_(1.0)
            network[1].running_mean.add_(2.0)
        update_teacher(teacher, network, step, 0.9)
        d = min(0.9, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * network[0].weight.detach()
    assert torch.allclose(teacher[0].weight, expected)  # type: ignore[index]
    assert torch.equal(teacher[1].running_mean, network[1].running_mean)  # type: ignore[index]
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
