"""One step of the optimiser and of the teacher, or none: a gradient that is not finite must not touch the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from adelecli.training.teacher import update_teacher

if TYPE_CHECKING:
    from torch import nn

    from adelecli.training.checkpoint import Learner
    from adelecli.training.distribution import World
    from adelecli.training.settings import Settings


LEARNT = 0.3
"""Training IoU from which on a class counts as learnt and needs soft Dice no longer."""


def needs_dice(learner: Learner, settings: Settings) -> bool:
    """Whether soft Dice is added to the loss of the coming step: at first, and while a class that has labels is not learnt."""
    if not settings.loss.dice_steps:
        return False
    curve = learner.history[-1].get("curve", ()) if learner.history else ()
    return learner.step < settings.loss.dice_steps or any(point is not None and point < LEARNT for point in curve[1:])


def descend(learner: Learner, settings: Settings, loss: torch.Tensor, world: World) -> bool:
    """Follow the gradient of a finite ``loss`` (scalar); whether it was finite. Otherwise weights, teacher and step count stay.

    The gradients of all processes are summed before the scaler of float16 looks at them, so that all of them step or none does.
    """
    step = learner.step + 1
    warm = min(1.0, step / max(1, settings.optimiser.warmup_steps))
    for group in learner.optimiser.param_groups:
        group["lr"] = settings.optimiser.lr * warm
    learner.optimiser.zero_grad(set_to_none=True)
    scaler = learner.scaler
    scaled = loss if scaler is None else scaler.scale(loss)
    scaled.backward()  # type: ignore[no-untyped-call]
    world.sum_gradients(learner.network.parameters())
    if scaler is not None:
        scaler.unscale_(learner.optimiser)
    finite = bool(torch.isfinite(_clip(learner, settings.optimiser.clip_norm))) and _are_finite(learner.criterion)
    if finite:
        learner.optimiser.step()
        learner.step = step
        update_teacher(learner.teacher, learner.network, step, settings.teacher.decay)
    if scaler is not None:
        scaler.update()
    return finite


def _are_finite(criterion: nn.Module) -> bool:
    """Whether the gradients of what a loss itself learns are finite; they are not clipped with the network's."""
    return all(bool(torch.isfinite(p.grad).all()) for p in criterion.parameters() if p.grad is not None)


def _clip(learner: Learner, largest: float) -> torch.Tensor:
    """The norm of all gradients of the network together, which are shrunk to ``largest`` (0: left alone)."""
    if largest:
        return torch.nn.utils.clip_grad_norm_(learner.network.parameters(), largest)
    return torch.nn.utils.get_total_norm([p.grad for p in learner.network.parameters() if p.grad is not None])
