"""The loss of algorithm section 5: cross-entropy at each scale plus consistency across the scales.

All of it is computed in float32 whatever the network's precision, on pixels whose label is not ``IGNORE`` (padding counts as
ignored). A batch without a valid pixel gives 0, never NaN, so that a run survives a case that is all ignore.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from adelecli.labels.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Pool = Callable[[torch.Tensor], torch.Tensor]


def keep_own(part: torch.Tensor) -> torch.Tensor:
    """The pooled sum of one process that is alone: its own part (see ``distribution.World.pool``)."""
    return part


def mean_cross_entropy(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, temperature: float = 1.0, pool: Pool = keep_own
) -> torch.Tensor:
    """``mean_s CE(z_s / T, y)`` over the valid pixels; ``logits`` are ``[N, K, H, W]`` each, ``labels`` int64 ``[N, H, W]``.

    The method has ``T = 1``; the reference code trains on a third of the logits, which makes ``softmax(z)`` overconfident.
    ``pool`` adds up the sums of several processes, here and in the other losses.
    """
    valid = pool((labels != IGNORE).sum()).clamp(min=1)
    scaled = [z.float() if temperature == 1 else z.float() / temperature for z in logits]
    terms = [functional.cross_entropy(z, labels, ignore_index=IGNORE, reduction="sum") for z in scaled]
    return pool(torch.stack(terms).mean()) / valid


def jensen_shannon(
    logits: Sequence[torch.Tensor], valid: torch.Tensor, gate: float, pool: Pool = keep_own
) -> torch.Tensor:
    """``JSD(p_1 .. p_S)`` averaged over the valid pixels of the images whose ``max q`` reaches ``gate``.

    Stable form ``mean_s sum_c exp(lp)(lp - lq)`` with ``lq = logsumexp_s(lp) - log S``: finite gradients at any logit gap.
    ``valid`` is bool ``[N, H, W]``. The gate is one decision per image (algorithm section 5).
    """
    log_p = torch.stack([functional.log_softmax(z.float(), dim=1) for z in logits])
    log_q = torch.logsumexp(log_p, dim=0) - math.log(len(logits))
    divergence = (log_p.exp() * (log_p - log_q)).sum(2).mean(0)
    with torch.no_grad():
        peak = log_q.exp().amax(1).masked_fill(~valid, 0).amax((1, 2))
        counted = valid & (peak >= gate)[:, None, None]
    return pool((divergence * counted).sum()) / pool(counted.sum()).clamp(min=1)


def soft_dice(logits: torch.Tensor, labels: torch.Tensor, pool: Pool = keep_own) -> torch.Tensor:
    """``1 - mean Dice`` over the foreground classes present in the batch; 0 where there is none.

    Present classes only: an absent class has no overlap to learn, and its term would push it away from every pixel.
    """
    classes = logits.shape[1]
    valid = (labels != IGNORE)[:, None]
    probabilities = logits.float().softmax(1) * valid
    target = functional.one_hot(labels.masked_fill(labels == IGNORE, 0), classes).movedim(3, 1) * valid
    overlap, size = pool((probabilities * target).sum((0, 2, 3))), pool((probabilities + target).sum((0, 2, 3)))
    present = pool(target.sum((0, 2, 3))) > 0
    present[0] = False
    dice = (2 * overlap + 1) / (size + 1)
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)
