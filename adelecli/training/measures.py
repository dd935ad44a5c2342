"""What an epoch shows: the training curve, the learning dynamics and the validation scores, all from pooled counts.

Counts are pooled over the whole epoch before any ratio is taken, so that a batch without a class cannot distort its IoU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from adelecli.labels.classes import IGNORE
from adelecli.labels.overlap import dice_scores, iou_scores
from adelecli.training.relabelling import predict_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from adelecli.training.dataset import Slices
    from adelecli.training.distribution import World
    from adelecli.training.network import MultiScale


class Tally:
    """A confusion matrix ``[K, K]`` (rows: reference) summed over an epoch, on the device of its inputs."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.counts = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def add(self, prediction: torch.Tensor, reference: torch.Tensor, where: torch.Tensor | None = None) -> None:
        """Count pixels of integer tensors of one shape, without ``IGNORE`` in the reference, only ``where`` true if given."""
        valid = reference != IGNORE
        if where is not None:
            valid = valid & where
        # what does not count goes into one more bin: picking out the pixels that do costs seven times as much
        pairs = torch.where(valid, reference.long() * self.classes + prediction.long(), self.classes**2)
        self.counts += torch.bincount(pairs.reshape(-1), minlength=self.classes**2 + 1)[:-1]

    def confusion(self) -> NDArray[np.int64]:
        """The matrix as numpy."""
        matrix: NDArray[np.int64] = self.counts.reshape(self.classes, self.classes).cpu().numpy()
        return matrix


def curve_points(confusion: NDArray[np.int64]) -> list[float | None]:
    """IoU per class; ``None`` for a class that the epoch's reference labels do not hold (algorithm section 3: never 0)."""
    absent = confusion.sum(1) == 0
    return [None if gone else float(iou) for iou, gone in zip(iou_scores(confusion), absent, strict=True)]


class EpochTallies:
    """The three tallies of a training epoch: against the original labels and, where clean ones are known, its dynamics.

    ``early`` is ``IoU_el`` and ``memorised`` is ``IoU_m`` of algorithm section 2: on wrongly labelled pixels only.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self.curve, self.early, self.memorised = (Tally(classes, device) for _ in range(3))

    def add(
        self,
        logits: torch.Tensor,
        original: torch.Tensor,
        clean: torch.Tensor | None,
        reference: torch.Tensor | None = None,
    ) -> None:
        """Count the prediction ``argmax logits`` (scale 1) of one batch; ``reference``: the curve's labels, if not the original."""
        prediction = logits.detach().max(1).indices  # the same pixels as argmax, in a tenth of its time on a CPU
        self.curve.add(prediction, original if reference is None else reference)
        if clean is not None:
            wrong = (original != clean) & (original != IGNORE)
            self.early.add(prediction, clean, wrong)
            self.memorised.add(prediction, original, wrong)

    def pool(self, world: World) -> None:
        """Add up the counts of all processes."""
        for tally in (self.curve, self.early, self.memorised):
            tally.counts = world.pool(tally.counts)

    def dynamics(self) -> dict[str, list[float | None]]:
        """``IoU_el`` and ``IoU_m`` per class; empty without clean labels."""
        if not int(self.early.counts.sum()):
            return {}
        return {
            "early": curve_points(self.early.confusion()),
            "memorised": curve_points(self.memorised.confusion()),
        }


def score_rows(
    model: MultiScale, slices: Slices, rows: NDArray[np.intp], classes: int, world: World
) -> dict[str, object]:
    """Dice and IoU per class on ``rows``, pooled, against the clean labels where known and the given ones otherwise.

    Each process predicts its part of the rows, on its device; the scores are those of all rows.
    ``dice``/``iou`` hold ``None`` for a class that neither side shows; the means are over the foreground classes.
    """
    tally = Tally(classes, torch.device("cpu"))
    given = Tally(classes, torch.device("cpu"))
    for part, (label, _), _ in predict_rows(model, slices, world.own_rows(rows), world.device):
        prediction = torch.from_numpy(label)
        given.add(prediction, torch.from_numpy(np.array(slices.labels[part])))
        truth = slices.labels if slices.clean is None else slices.clean
        tally.add(prediction, torch.from_numpy(np.array(truth[part])))
    counts = world.sum_array(tally.confusion())
    dice, iou = dice_scores(counts), iou_scores(counts)
    return {
        "dice": _listed(dice),
        "iou": _listed(iou),
        "mean_dice": _mean(dice[1:]),
        "mean_iou": _mean(iou[1:]),
        "given_mean_iou": _mean(iou_scores(world.sum_array(given.confusion()))[1:]),
    }


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 6) if len(known) else None
