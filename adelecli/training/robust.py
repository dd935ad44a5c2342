"""Losses that are meant to resist wrong labels, so that the benchmark can put them beside the correction.

They are rivals, not parts of the method: ``loss.kind`` chooses one in the place of cross-entropy, and everything else of a run
stays as it is. A criterion is a module because the T-Loss learns its own parameters, which the optimiser and the checkpoint
must know. What must hold: float32 inside, ``IGNORE`` never counts, a batch without a valid pixel gives 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from adelecli.labels.classes import IGNORE
from adelecli.training.losses import keep_own, mean_cross_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adelecli.training.losses import Pool
    from adelecli.training.settings import LossSettings

TINY = 1e-7  # keeps p**q differentiable at p = 0


class CrossEntropy(nn.Module):
    """``mean_s CE(z_s / T, y)``; see ``losses.mean_cross_entropy``."""

    def __init__(self, temperature: float = 1.0, pool: Pool = keep_own) -> None:
        super().__init__()
        self.temperature, self.pool = temperature, pool

    def forward(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of ``logits`` (each ``[N, K, H, W]``) against int64 ``labels [N, H, W]``."""
        return mean_cross_entropy(logits, labels, self.temperature, self.pool)


class GeneralisedCrossEntropy(nn.Module):
    """``(1 - p_y**q) / q``: cross-entropy for ``q -> 0``, mean absolute error for ``q = 1``.

    Source: equation 6 of Zhang and Sabuncu, NeurIPS 2018, arXiv 1805.07836.
    """

    def __init__(self, q: float) -> None:
        super().__init__()
        self.q = q

    def forward(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The mean over valid pixels and scales; shapes as in ``CrossEntropy``."""
        valid = labels != IGNORE
        target = labels.masked_fill(~valid, 0)[:, None]
        total = torch.zeros((), device=labels.device)
        for z in logits:
            p = z.float().softmax(1).gather(1, target)[:, 0].clamp(min=TINY)
            total = total + (((1 - p**self.q) / self.q) * valid).sum()
        return total / len(logits) / valid.sum().clamp(min=1)


class TLoss(nn.Module):
    """Negative log-likelihood of the errors of an image under a Student-t distribution, one class against the rest.

    With ``delta`` the D errors ``p_c - [y = c]`` of an image and the identity as scale matrix: ``-log G((nu + D) / 2) +
    log G(nu / 2) + D / 2 log(pi nu) + (nu + D) / 2 log(1 + |delta|^2 / nu)`` with the gamma function G and a learnt ``nu``.
    Source: equation 4 of Gonzalez-Jimenez et al., MICCAI 2023, arXiv 2306.00753, which is for one foreground class; here
    each foreground class has its own ``nu``, and the classes are averaged. It is divided by D, which does not move its minimum:
    so it has the size of a loss per pixel, and clipping, warm-up and the Dice term of the first epochs weigh as with the others.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.log_nu = nn.Parameter(torch.zeros(classes - 1))

    def forward(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The mean over scales, foreground classes and images that hold a valid pixel; shapes as in ``CrossEntropy``."""
        valid = (labels != IGNORE)[:, None]
        count = valid.sum((1, 2, 3)).float()[:, None]
        target = functional.one_hot(labels.masked_fill(labels == IGNORE, 0), logits[0].shape[1]).movedim(3, 1)
        total = torch.zeros((), device=labels.device)
        for z in logits:
            delta = ((z.float().softmax(1) - target) * valid)[:, 1:]
            total = total + self._likelihood(delta.square().sum((2, 3)), count).sum()
        held = (count > 0).sum().clamp(min=1) * len(self.log_nu)
        return total / len(logits) / held

    def _likelihood(self, squares: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """Per image and class, per pixel; ``squares [N, K - 1]``, ``count [N, 1]``; 0 where an image has no valid pixel."""
        nu = self.log_nu.exp()[None]
        half = (nu + count) / 2
        loss = torch.lgamma(nu / 2) - torch.lgamma(half) + count / 2 * (math.log(math.pi) + self.log_nu)
        loss = loss + half * torch.log1p(squares / nu)
        return loss / count.clamp(min=1) * (count > 0)


def make_criterion(settings: LossSettings, classes: int, pool: Pool = keep_own) -> nn.Module:
    """The criterion that ``settings.kind`` names, for ``classes`` classes (background included).

    ``pool`` adds up the sums of several processes; the rivals are for one process and do without.
    """
    if settings.kind == "gce":
        return GeneralisedCrossEntropy(settings.q)
    return TLoss(classes) if settings.kind == "tloss" else CrossEntropy(settings.temperature, pool)
