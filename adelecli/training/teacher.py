"""The mean teacher: an exponential moving average of the weights, which remembers less of the noise than the last step does.

It predicts in eval mode for the correction and is what gets exported. Buffers (batch-norm statistics) are copied, not averaged:
they are averages already.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_teacher(network: nn.Module) -> nn.Module:
    """A copy of the network in eval mode whose parameters need no gradient."""
    teacher = copy.deepcopy(network).eval()
    return teacher.requires_grad_(requires_grad=False)


@torch.no_grad()
def update_teacher(teacher: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """``teacher <- d * teacher + (1 - d) * network`` after ``step`` (from 1), ``d = min(decay, (1 + step) / (10 + step))``.

    The smaller factor of the first steps forgets the random start.
    """
    factor = min(decay, (1 + step) / (10 + step))
    means: list[torch.Tensor] = list(teacher.parameters())
    values = [value.detach() for value in network.parameters()]
    torch._foreach_lerp_(means, values, 1 - factor)  # one kernel for all on a GPU, the same numbers as one by one
    for kept, current in zip(teacher.buffers(), network.buffers(), strict=True):
        kept.copy_(current)
