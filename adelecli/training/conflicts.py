"""Settings that are right alone and wrong together, or wrong with several processes: refused before anything is written.

A combination that would train something else than its settings say must be an error, not a surprise in the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.errors import ConfigError
from adelecli.training.augmentation import moves_labels

if TYPE_CHECKING:
    from adelecli.training.distribution import World
    from adelecli.training.settings import Settings


def refuse_conflicts(settings: Settings, world: World) -> None:
    """Raises ``ConfigError`` where ``settings`` contradict each other, or where ``world`` has too many processes for them."""
    correction = settings.correction
    if correction.enabled and correction.predictions == "epoch" and moves_labels(settings.augment):
        raise ConfigError(
            "correction.predictions = epoch needs slices that stay in place, but augment.* moves them",
            remedy="use correction.predictions=eval, or no flip, rotate, scale and shift",
        )
    if correction.enabled and correction.predictions == "epoch" and correction.outline:
        raise ConfigError(
            "correction.outline needs probabilities, but correction.predictions = epoch keeps the best class alone",
            remedy="use correction.predictions=eval, or correction.outline=0",
        )
    if correction.enabled and settings.noise.enabled and not correction.outline:
        raise ConfigError(
            "noise.enabled judges cases by predictions along their outline, but correction.outline = 0",
            remedy="use noise.enabled=false, or give correction.outline its 0.75",
        )
    if world.size > 1:
        _refuse_several(settings, world)


def _refuse_several(settings: Settings, world: World) -> None:
    alone = {
        f"loss.kind = {settings.loss.kind}": settings.loss.kind != "ce",
        "coteaching.enabled": settings.coteaching.enabled,
        "correction with labels kept from one epoch to the next": settings.correction.outlives_epoch,
    }
    for name, chosen in alone.items():
        if chosen:
            raise ConfigError(
                f"{name} is for one process, but torchrun starts {world.size}", remedy="train without torchrun"
            )
    # batch norm looks at the whole batch, which torch can do across processes on GPUs only
    if settings.network.norm == "batch" and world.device.type != "cuda":
        raise ConfigError(
            "network.norm = batch needs the whole batch, which several processes on CPUs do not share",
            remedy="train with one process, or with network.norm=group",
        )
