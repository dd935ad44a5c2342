"""The network and how it is run at several scales.

The U-Net is MONAI's ``DynUNet`` (MONAI rather than dynamic-network-architectures, whose dependency timm needs torchvision; both
export cleanly). Everything that resizes is here once, so that training, correction and the exported graph compute the same
thing: an image is resized to ``round(size * n / d)``, padded right and bottom by repetition to a multiple of the network's
stride, and the result is cropped and resized back. Sizes use integers only, because ``int(h * 0.7)`` is baked into an exported
graph as a constant without any warning. Nothing here counts the spatial dimensions: H, W stand for H, W or D, H, W.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adelecli.training.settings import NetworkSettings, Scale

    Forward = Callable[[torch.Tensor], torch.Tensor]  # a network, or one that casts its input and output


MODES = {2: "bilinear", 3: "trilinear"}


def build_network(settings: NetworkSettings, channels: int, classes: int, dims: int = 2) -> nn.Module:
    """A U-Net ``[N, channels, H, W] -> logits [N, classes, H, W]`` whose sizes are multiples of ``2**depth``; 3D with ``dims`` 3."""
    from monai.networks.nets.dynunet import DynUNet

    levels = settings.depth + 1
    return DynUNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=classes,
        kernel_size=[3] * levels,
        strides=[1] + [2] * settings.depth,
        upsample_kernel_size=[2] * settings.depth,
        filters=[min(settings.width * 2**level, 512) for level in range(levels)],
        norm_name=_norm(settings),
    )


def _norm(settings: NetworkSettings) -> str | tuple[str, dict[str, object]]:
    if settings.norm == "batch":
        return "batch"
    if settings.norm == "instance":
        return ("instance", {"affine": True})
    return ("group", {"num_groups": math.gcd(settings.width, 8)})


def set_prior_bias(network: nn.Module, shares: Sequence[float]) -> None:
    """Set the bias of the output layer to the log of the class shares (floored at 1e-4), so that the first prediction is the prior.

    Without it a run may sit at "all background" for many epochs.
    """
    head = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Conv3d)][-1]
    assert head.bias is not None
    with torch.no_grad():
        head.bias.copy_(torch.tensor([math.log(max(share, 1e-4)) for share in shares]))


def forward_scale(network: Forward, image: torch.Tensor, scale: Scale, divisor: int) -> torch.Tensor:
    """Logits ``[N, K, h, w]`` of ``image`` ``[N, C, H, W]`` at ``scale``, on the scaled grid."""
    sizes = [_scaled(size, scale) for size in image.shape[2:]]
    margins = [_padded(size, divisor) - size for size in sizes]
    scaled = image if scale[0] == scale[1] else _resize(image, sizes)
    padding = [amount for margin in reversed(margins) for amount in (0, margin)]  # torch begins with the last axis
    padded = functional.pad(scaled, padding, mode="replicate")
    logits: torch.Tensor = network(padded)[(slice(None), slice(None), *(slice(size) for size in sizes))]
    return logits


def _resize(values: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    mode = MODES[values.ndim - 2]
    return functional.interpolate(values, size=list(sizes), mode=mode, align_corners=False)


def _scaled(size: int, scale: Scale) -> int:
    """``size * n / d``, rounded, at least 1."""
    n, d = scale
    rounded = (size * n + d // 2) // d
    if n + d // 2 >= d:  # cannot be 0, and a graph without the maximum is traced much faster
        return rounded
    return _at_least(1, rounded)


def _padded(size: int, divisor: int) -> int:
    """The next multiple of the stride, at least two of it: no norm has a variance over one pixel.

    Written as ``divisor * k``, so that the exporter can simplify the sizes of all layers (a minute less), and without
    dividing negative numbers: a graph rounds them towards zero where Python rounds down.
    """
    return divisor * _at_least(2, (size + divisor - 1) // divisor)


def _at_least(least: int, size: int) -> int:
    # sym_max, not max: in an exported graph sizes are symbols, and max would bake one in
    larger: int = torch.sym_max(least, size)  # type: ignore[no-untyped-call]
    return larger


def resize_to(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``values`` on the grid of ``like`` (linear along each axis, half-pixel centres)."""
    return _resize(values, like.shape[2:])


def logits_at_scales(
    network: Forward, image: torch.Tensor, scales: Sequence[Scale], divisor: int
) -> list[torch.Tensor]:
    """``z_s``: logits per scale, rescaled back to the grid of ``image`` ``[N, C, H, W]`` (algorithm section 1)."""
    return [_logits(network, image, scale, divisor) for scale in scales]


def _logits(network: Forward, image: torch.Tensor, scale: Scale, divisor: int) -> torch.Tensor:
    logits = forward_scale(network, image, scale, divisor)
    return logits if scale[0] == scale[1] else resize_to(logits, image)


def _share_out(logits: torch.Tensor) -> torch.Tensor:
    """``softmax`` over the classes of ``[N, K, ...]``; in an exported graph spelt out.

    onnxruntime's Softmax on a CPU turns the classes to the end and back, which was 9 % of the time of a whole ensemble.
    """
    if not torch.compiler.is_exporting():
        return logits.softmax(1)
    powers = (logits - logits.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


class MultiScale(nn.Module):
    """``q = mean_s softmax(z_s)`` as one module: ``image [N, C, H, W] -> probabilities [N, K, H, W], label, confidence``.

    Correction averages probabilities, not logits (algorithm section 4); each scale's are rescaled back to the image.
    With a ``temperature`` T they are ``softmax(z_s / T)``.
    """

    def __init__(self, network: nn.Module, scales: Sequence[Scale], divisor: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.scales, self.divisor = network, tuple(scales), divisor
        self.temperature = temperature

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """The averaged class probabilities ``[N, K, H, W]``."""
        total: torch.Tensor | None = None
        for scale in self.scales:
            logits = _logits(self.network, image, scale, self.divisor)
            part = _share_out(logits if self.temperature == 1 else logits / self.temperature)
            total = part if total is None else total + part
        assert total is not None
        return total / len(self.scales)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Probabilities, label (uint8 ``[N, H, W]``) and confidence (its probability)."""
        probabilities = self.probabilities(image)
        confidence, label = probabilities.max(1)
        return probabilities, label.to(torch.uint8), confidence
