"""The network in half precision inside an ensemble in float32, for graphs that run on a GPU.

Only the network is halved: resizing, softmax and the average stay float32, and so do the graph's input and outputs, because
their errors would add up over the scales and cost next to no time.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import nn

from adelecli.training.network import MultiScale

if TYPE_CHECKING:
    import torch


class HalfNetwork(nn.Module):
    """``network`` with float16 weights and activations between float32 ends: ``[N, C, H, W] -> logits [N, K, H, W]``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits in float32."""
        logits: torch.Tensor = self.network(image.half())
        return logits.float()


def halve_model(model: MultiScale) -> MultiScale:
    """The same ensemble with its network in half precision; ``model`` stays as it is."""
    return MultiScale(HalfNetwork(model.network), model.scales, model.divisor, model.temperature).eval()
