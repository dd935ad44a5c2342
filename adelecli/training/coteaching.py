"""Co-teaching, a rival: two networks, each of which learns from the pixels that the *other* finds easy.

Small losses are taken for right labels; exchanging them keeps a network from confirming its own errors. The share that is left out
rises from 0 over the first epochs, because early losses say nothing yet. What must hold: both networks step on the same batches, but
for a loss or gradient that is not finite; only the first one is validated, exported and reported.
Source: algorithm 1 of Han et al., NeurIPS 2018, arXiv 1804.06872, per pixel instead of per image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from adelecli.labels.classes import IGNORE
from adelecli.training.descent import descend, needs_dice
from adelecli.training.distribution import ALONE
from adelecli.training.losses import soft_dice
from adelecli.training.network import logits_at_scales
from adelecli.training.precision import cast_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adelecli.training.checkpoint import Learner
    from adelecli.training.settings import CoteachingSettings, Settings


def forget_rate(settings: CoteachingSettings, epoch: int) -> float:
    """The share of pixels left out in ``epoch`` (from 1): ``forget * min(1, epoch / warmup_epochs)``."""
    return settings.forget * min(1.0, epoch / max(1, settings.warmup_epochs))


def exchange_losses(
    own: Sequence[torch.Tensor], other: Sequence[torch.Tensor], labels: torch.Tensor, forget: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of two networks, each the mean cross-entropy over the pixels whose loss in the other is small.

    ``own``, ``other``: logits ``[N, K, H, W]`` per scale; ``labels`` int64 ``[N, H, W]``. The ``forget`` share of the valid pixels of
    the batch with the largest loss is left out. Without a valid pixel both are 0.
    """
    valid = labels != IGNORE
    mine, theirs = (_pixel_losses(logits, labels)[valid] for logits in (own, other))
    if not mine.numel():
        return mine.sum(), theirs.sum()
    kept = max(1, round((1 - forget) * mine.numel()))
    easy_for_me, easy_for_them = (
        torch.topk(losses.detach(), kept, largest=False, sorted=False).indices for losses in (mine, theirs)
    )
    return mine[easy_for_them].mean(), theirs[easy_for_me].mean()


def _pixel_losses(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    terms = [functional.cross_entropy(z.float(), labels, ignore_index=IGNORE, reduction="none") for z in logits]
    return torch.stack(terms).mean(0)


def teach_peer(
    learner: Learner,
    settings: Settings,
    batch: tuple[torch.Tensor, torch.Tensor],
    own: Sequence[torch.Tensor],
) -> torch.Tensor:
    """One step of the second network on ``batch`` (image, labels), and the loss of the first, whose logits are ``own``.

    Soft Dice is added in the same steps as for the first network. A loss or gradient that is not finite is skipped. For one process
    alone: which losses are small is known only for the whole batch.
    """
    assert learner.peer is not None
    image, labels = batch
    network = cast_network(learner.peer.network, settings.precision, image.device)
    logits = logits_at_scales(network, image, settings.loss.scales, int(2**settings.network.depth))
    mine, theirs = exchange_losses(own, logits, labels, forget_rate(settings.coteaching, learner.epoch + 1))
    if needs_dice(learner, settings):
        theirs = theirs + torch.stack([soft_dice(z, labels) for z in logits]).mean()
    if bool(torch.isfinite(theirs)):
        descend(learner.peer, settings, theirs, ALONE)
    return mine
