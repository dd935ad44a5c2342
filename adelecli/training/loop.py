"""The training loop, readable from top to bottom: this is the explanation of the method.

Per epoch: choose slices; correct their labels with the teacher if a class has triggered; learn from them at three scales; measure
each class's IoU against the *original* labels; ask whether its memorisation has begun; validate; commit the checkpoint.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from adelecli.labels.classes import IGNORE
from adelecli.labels.correction import Rule
from adelecli.labels.overlap import LabelErrorCounts, label_error
from adelecli.progress import Progress
from adelecli.training.batches import load_batches
from adelecli.training.coteaching import teach_peer
from adelecli.training.dataset import plan_epoch, spread_rows
from adelecli.training.descent import descend, needs_dice
from adelecli.training.distribution import ALONE, World
from adelecli.training.keeping import gather_predictions, renew_kept, show_kept
from adelecli.training.losses import jensen_shannon, soft_dice
from adelecli.training.measures import EpochTallies, curve_points, score_rows
from adelecli.training.network import MultiScale, logits_at_scales
from adelecli.training.onsets import describe_onsets, find_onsets
from adelecli.training.precision import cast_network
from adelecli.training.relabelling import Corrections, correct_together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from adelecli.labels.excess import Noise
    from adelecli.progress import Callback
    from adelecli.training.checkpoint import Learner
    from adelecli.training.dataset import Slices
    from adelecli.training.keeping import EpochPredictions
    from adelecli.training.settings import Settings


@dataclass(frozen=True)
class Experiment:
    """What stays the same through a run."""

    settings: Settings
    slices: Slices
    names: tuple[str, ...]
    device: torch.device
    progress: Callback
    folder: Path | None = None
    """The run folder, for labels that outlive an epoch."""
    world: World = ALONE
    noise: Noise | None = None
    """How noisy the labels are; ``None``: not asked."""

    @property
    def classes(self) -> int:
        """How many classes there are, background included."""
        return len(self.names)

    @property
    def divisor(self) -> int:
        """The network's stride: sizes are padded to a multiple of it."""
        return int(2**self.settings.network.depth)

    def ensemble(self, network: nn.Module) -> MultiScale:
        """``network`` at the run's scales, for correction, validation and export."""
        settings = self.settings
        return MultiScale(network, settings.ensemble_scales, self.divisor, settings.correction.temperature)


def run_epochs(learner: Learner, experiment: Experiment, commit: Callable[[], None]) -> None:
    """Train until the last epoch or until patience runs out; ``commit`` is called after each epoch."""
    settings = experiment.settings
    while learner.epoch < settings.epochs and not _out_of_patience(learner, settings.patience):
        started = time.monotonic()
        epoch = learner.epoch + 1
        rows = plan_epoch(
            experiment.slices,
            epoch,
            seed=settings.seed,
            limit=settings.data.slices_per_epoch,
            empty_share=settings.data.empty_share,
            per_case=settings.data.slices_per_case,
            trusted_weight=settings.data.trusted_weight,
        )
        labels, corrections = current_labels(learner, experiment, rows)
        predictions = gather_predictions(experiment)
        losses, tallies = train_epoch(learner, experiment, rows, labels, predictions)
        curve = curve_points(tallies.curve.confusion())
        record: dict[str, Any] = {
            "epoch": epoch,
            "losses": losses,
            "curve": curve,
            "dynamics": tallies.dynamics(),
            "corrections": describe_corrections(corrections),
            "label_error": _label_error(experiment, rows, labels),
        }
        learner.history.append(record)
        learner.epoch = epoch
        record |= describe_onsets(find_onsets(learner, experiment))
        if settings.correction.outlives_epoch:
            source = predictions or experiment.ensemble(predictor(learner, settings))
            record["kept"] = renew_kept(learner, experiment, correction_rule(learner, experiment), source)
        record["val"] = validate(learner, experiment)
        record["seconds"] = round(time.monotonic() - started, 3)
        commit()
        experiment.progress(Progress("train", epoch, settings.epochs, detail=record | {"names": experiment.names}))


def train_epoch(
    learner: Learner,
    experiment: Experiment,
    rows: NDArray[np.intp],
    labels: NDArray[np.uint8],
    predictions: EpochPredictions | None = None,
) -> tuple[dict[str, float], EpochTallies]:
    """One pass over ``rows`` with their current ``labels [n, H, W]``; mean losses and the epoch's tallies.

    The logits at scale 1 go into ``predictions``.
    """
    settings = experiment.settings
    tallies = EpochTallies(experiment.classes, experiment.device)
    totals: dict[str, float] = {}
    epoch = learner.epoch + 1
    steps = -(-len(rows) // settings.optimiser.batch_size)
    for one in (learner, learner.peer):
        if one is not None:
            one.network.train()
    for number, batch in enumerate(load_batches(experiment, epoch, rows, labels), 1):
        logits, losses = take_step(learner, experiment, batch.image, batch.labels)
        reference = batch.labels if settings.onset.reference == "current" else None
        tallies.add(logits, batch.original, batch.clean, reference)
        if predictions is not None:
            predictions.add(batch.rows, logits)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value * batch.size
        experiment.progress(
            Progress("epoch", number, steps, detail={"epoch": epoch, "epochs": settings.epochs, "losses": losses})
        )
    tallies.pool(experiment.world)
    return {name: value / len(rows) for name, value in totals.items()}, tallies


def take_step(
    learner: Learner, experiment: Experiment, image: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """One optimiser step; the logits at scale 1 and the losses. A loss or gradient that is not finite is skipped and counted."""
    settings, pool = experiment.settings, experiment.world.pool
    scales = settings.loss.scales
    network = cast_network(learner.network, settings.precision, experiment.device)
    logits = logits_at_scales(network, image, scales, experiment.divisor)
    if learner.peer is None:
        loss: torch.Tensor = learner.criterion(logits, labels)
    else:
        loss = teach_peer(learner, settings, (image, labels), logits)
    terms: dict[str, torch.Tensor] = {settings.loss.kind: loss}
    if settings.loss.weight and len(scales) > 1:
        terms["consistency"] = jensen_shannon(logits, labels != IGNORE, settings.loss.gate, pool)
        loss = loss + settings.loss.weight * terms["consistency"]
    if settings.loss.reduction == "sum":
        loss = loss * len(scales)
    if needs_dice(learner, settings):
        terms["dice"] = torch.stack([soft_dice(z, labels, pool) for z in logits]).mean()
        loss = loss + terms["dice"]
    total, *values = torch.stack([loss, *terms.values()]).tolist()  # one wait for the device, not one a term
    losses = dict(zip(terms, values, strict=True)) if math.isfinite(total) else dict.fromkeys(terms, 0.0)
    losses["skipped"] = float(not (math.isfinite(total) and descend(learner, settings, loss, experiment.world)))
    whole = scales.index((1, 1)) if (1, 1) in scales else 0
    return logits[whole], losses


def current_labels(
    learner: Learner, experiment: Experiment, rows: NDArray[np.intp]
) -> tuple[NDArray[np.uint8], Corrections | None]:
    """The labels to learn from: the original ones, corrected from them once a class has triggered, or those that are kept."""
    if experiment.settings.correction.outlives_epoch:
        return show_kept(learner, experiment, rows)
    original = np.array(experiment.slices.labels[rows])
    rule = correction_rule(learner, experiment)
    if rule is None:
        return original, None
    model = experiment.ensemble(predictor(learner, experiment.settings))
    guard = experiment.settings.correction.guard
    return correct_together(model, experiment.slices, rows, rule, guard=guard, world=experiment.world)


def predictor(learner: Learner, settings: Settings) -> nn.Module:
    """The weights that correct and are exported, in eval mode: the teacher's, or the network's where there is none."""
    return (learner.teacher if settings.teacher.enabled else learner.network).eval()


def correction_rule(learner: Learner, experiment: Experiment) -> Rule | None:
    """The rule for the classes that have triggered and look noisy, and those to be restored; ``None`` where nothing could change yet."""
    settings, noise = experiment.settings.correction, experiment.noise
    onsets = learner.history[-1]["onset"] if learner.history else []
    triggered = frozenset(index for index, epoch in enumerate(onsets) if epoch is not None)
    if noise is not None:
        triggered &= noise.noisy_classes
    early = learner.epoch < settings.start * experiment.settings.epochs
    if not settings.enabled or early:
        return None
    rule = Rule(
        tau=(settings.tau,) * experiment.classes,
        triggered=triggered,
        constraint=settings.constraint,
        fill_ignore=settings.fill_ignore,
        any_source=settings.any_source,
        gate=noise.gate if noise is not None else None,
        outline=settings.outline,
        restoration=noise.restoration if noise is not None else None,
    )
    return rule if triggered or rule.restorable else None


def validate(learner: Learner, experiment: Experiment) -> dict[str, dict[str, object]]:
    """Scores of the network and of its moving average on the validation slices, at the run's scales."""
    rows = spread_rows(experiment.slices, experiment.settings.data.val_slices)
    if not len(rows):
        return {}
    networks = {"student": learner.network, "teacher": learner.teacher}
    return {
        name: score_rows(
            experiment.ensemble(network.eval()), experiment.slices, rows, experiment.classes, experiment.world
        )
        for name, network in networks.items()
    }


def describe_corrections(corrections: Corrections | None) -> dict[str, object] | None:
    """Added and removed pixels per class, and the cases in which the guard cancelled a class."""
    if corrections is None:
        return None
    return {
        "added": [change.added for change in corrections.changes],
        "removed": [change.removed for change in corrections.changes],
        "cancelled": {case: list(classes) for case, classes in corrections.cancelled.items()},
    }


def _label_error(
    experiment: Experiment, rows: NDArray[np.intp], labels: NDArray[np.uint8]
) -> dict[str, float | None] | None:
    """Error of the shown labels before and after correction, where clean labels are known (evaluation section 2)."""
    slices = experiment.slices
    if slices.clean is None:
        return None
    counts = label_error(slices.labels[rows], slices.clean[rows], labels, n_classes=experiment.classes).overall
    return describe_error(counts)


def describe_error(counts: LabelErrorCounts) -> dict[str, float | None]:
    """Label error before and after, and broken per fixed pixel; ``None`` for what there is none of."""
    values = {"before": counts.error_before, "after": counts.error_after, "broken_per_fixed": counts.broken_per_fixed}
    return {name: float(v) if np.isfinite(v) else None for name, v in values.items()}


def _out_of_patience(learner: Learner, patience: int) -> bool:
    """Whether validation against the *given* labels has not improved for ``patience`` epochs."""
    scores = [record["val"]["teacher"]["given_mean_iou"] or 0.0 for record in learner.history if record.get("val")]
    return bool(patience and scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience
