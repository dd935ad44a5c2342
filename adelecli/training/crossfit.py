"""How noisy the labels are, measured before anything is corrected: two plain networks, each trained on half of the cases.

Every training case is then predicted by a network that never saw it and by one that did; ``labels.excess`` says what their
disagreement with the labels and with each other amounts to. What must hold: the two halves share no case (or patient, where the
split knows patients); nothing depends on clean labels or on validation cases; a run that is stopped here measures again and gets
the same numbers; memory does not grow with the number of cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import Counts, Noise, count_overlap, estimate_noise
from adelecli.progress import Progress
from adelecli.training.dataset import find_training_rows
from adelecli.training.loop import Experiment, train_epoch
from adelecli.training.network import MultiScale
from adelecli.training.noisefile import read_noise, write_noise
from adelecli.training.relabelling import predict_rows
from adelecli.training.settings import CorrectionSettings, LossSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.training.checkpoint import Learner

LEAST_CASES = 4
"""Fewer training cases than this cannot be halved and judged; their labels are corrected unasked, as the paper does."""
_SEED = 7919  # the networks that are compared must not start as the one that is kept


def measure_noise(experiment: Experiment, start: Callable[[Experiment], Learner], folder: Path) -> Noise | None:
    """The noise of the training labels; read back from ``folder`` where it was measured before. ``start`` makes a fresh learner.

    ``None`` where the settings do not ask for it, nothing is corrected, or there are fewer than ``LEAST_CASES`` cases.
    """
    settings = experiment.settings
    rows = find_training_rows(experiment.slices, settings.data.slices_per_case)
    rows = rows[experiment.slices.table["foreground"][rows]]
    cases = np.unique(experiment.slices.table["case"][rows])
    if not (settings.noise.enabled and settings.correction.enabled) or len(cases) < LEAST_CASES:
        return None
    measured = read_noise(folder)
    if measured is not None:
        return measured
    half = np.random.default_rng((settings.seed, 5)).permutation(len(cases)) % 2
    half_of = dict(zip(cases.tolist(), half.tolist(), strict=True))
    part_of = np.array([half_of[case] for case in experiment.slices.table["case"][rows].tolist()])
    models = [_train_half(experiment, start, rows[part_of != part], part) for part in (0, 1)]
    noise = estimate_noise(_count(experiment, models, rows, half_of), seed=settings.seed)
    write_noise(folder, noise)
    return noise


def _train_half(
    experiment: Experiment, start: Callable[[Experiment], Learner], rows: NDArray[np.intp], part: int
) -> MultiScale:
    """The moving average of a plain network (cross-entropy, one scale) after ``noise.steps`` steps on ``rows``."""
    settings = experiment.settings
    dice = settings.loss.dice_steps
    plain = msgspec.structs.replace(
        settings,
        seed=settings.seed + _SEED * (part + 1),
        loss=LossSettings(scales=((1, 1),), weight=0.0, dice_steps=dice),
        correction=CorrectionSettings(enabled=False),
        coteaching=type(settings.coteaching)(),
    )
    alone = Experiment(plain, experiment.slices, experiment.names, experiment.device, lambda _: None)
    learner = start(alone)
    total = settings.noise.steps
    size = settings.optimiser.batch_size
    while learner.step < total:
        rng = np.random.default_rng((plain.seed, learner.epoch))
        shown = rng.permutation(rows)[: (total - learner.step) * size]
        before = learner.step
        train_epoch(learner, alone, shown, np.array(experiment.slices.labels[shown]))
        learner.epoch += 1
        experiment.progress(Progress("noise", part * total + learner.step, 2 * total))
        if learner.step == before:  # not one finite step in a whole pass: there is nothing to wait for
            break
    return MultiScale(learner.teacher.eval(), ((1, 1),), experiment.divisor)


def _count(experiment: Experiment, models: list[MultiScale], rows: NDArray[np.intp], half_of: dict[int, int]) -> Counts:
    """The counts of at most ``noise.cases`` cases, evenly spread; model ``i`` has not seen the cases of half ``i``."""
    slices, classes = experiment.slices, experiment.classes
    cases = np.array(sorted(half_of))
    limit = min(len(cases), experiment.settings.noise.cases)
    table: list[tuple[NDArray[np.int64], ...]] = []
    for case in cases[np.linspace(0, len(cases) - 1, limit).round().astype(np.intp)].tolist():
        own = rows[slices.table["case"][rows] == case]
        labels = np.array(slices.labels[own])
        fresh, seen = (
            np.concatenate([label for _, label, _ in predict_rows(models[half], slices, own, experiment.device)])
            for half in (half_of[case], 1 - half_of[case])
        )
        agreed, either, area, edges = count_overlap(labels, fresh, classes)
        ignored = np.where(labels == IGNORE, labels, fresh)
        shared, shown, _, _ = count_overlap(ignored, seen, classes)
        table.append((agreed, either, shared, shown, area, edges))
    return Counts(*(np.array(column) for column in zip(*table, strict=True)))
