"""Mixed precision: the network's forward and backward pass in half precision, everything else in float32.

Weights, optimiser, teacher, losses and every prediction that corrects a label stay in float32; so does the resize between scales.
float16 needs its loss scaled, or small gradients vanish; bfloat16 has the range of float32 and does not. With ``fp32`` nothing
here does anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def cast_network(network: nn.Module, precision: str, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """``network`` computing in ``precision`` (``fp32``, ``bf16``, ``fp16``) on float32 input, its logits in float32."""
    if precision == "fp32":
        return network

    def forward(image: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, TYPES[precision]):
            logits: torch.Tensor = network(image)
        return logits.float()

    return forward


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler | None:
    """The loss scaler of ``fp16``, whose state belongs into the checkpoint; ``None`` where none is needed."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None
