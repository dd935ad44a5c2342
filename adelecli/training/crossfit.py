"""How noisy the labels are, measured before anything is corrected: two plain networks, each trained on half of the cases.

Every training case is then predicted by a network that never saw it and by one that did; ``labels.excess`` says what their
disagreement with the labels and with each other amounts to. What must hold: the two halves share no case (or patient, where the
split knows patients); nothing depends on clean labels or on validation cases, and only ``trusted`` cases are believed; a run that is
stopped here measures again and gets the same numbers; memory does not grow with the number of cases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from adelecli.labels.bias import estimate_bias, find_shifts, measure_offsets, move_outlines
from adelecli.labels.classes import IGNORE
from adelecli.labels.excess import LEAST_TRUSTED, Counts, Noise, estimate_noise
from adelecli.labels.gate import count_overlap
from adelecli.labels.outline import choose_best, combine_slices
from adelecli.progress import Progress
from adelecli.training.dataset import find_training_rows
from adelecli.training.loop import Experiment, train_epoch
from adelecli.training.network import MultiScale
from adelecli.training.noisefile import read_noise, write_noise
from adelecli.training.omissions import Lookout, add_omissions, find_held, tell_omissions
from adelecli.training.relabelling import predict_probabilities
from adelecli.training.settings import CorrectionSettings, LossSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.training.checkpoint import Learner
    from adelecli.training.dataset import Slices
    from adelecli.training.settings import Settings

LEAST_CASES = 4
"""Fewer training cases than this cannot be halved and judged; their labels are corrected unasked, as the paper does."""
ROUNDS = 3
"""While some class is too badly known to be judged, the networks learn on, at most so many times ``noise.steps``."""
_SEED = 7919  # the networks that are compared must not start as the one that is kept


def measure_noise(experiment: Experiment, start: Callable[[Experiment], Learner], folder: Path) -> Noise | None:
    """The noise of the training labels; read back from ``folder`` where it was measured before. ``start`` makes a fresh learner.

    ``None`` where the settings do not ask for it, nothing is corrected, there are fewer than ``LEAST_CASES`` cases, or all of them
    are trusted. From ``LEAST_TRUSTED`` trusted cases on these calibrate the estimate and give the bias of the others' outlines.
    """
    settings = experiment.settings
    rows = find_training_rows(experiment.slices, settings.data.slices_per_case)
    rows = rows[experiment.slices.table["foreground"][rows]]
    cases = np.unique(experiment.slices.table["case"][rows])
    if not (settings.noise.enabled and settings.correction.enabled) or len(cases) < LEAST_CASES:
        return None
    if experiment.slices.is_trusted[rows].all():
        return None
    measured = read_noise(folder)
    if measured is not None:
        return measured
    sides = np.random.default_rng((settings.seed, 5)).permutation(len(cases)) % 2
    half_of = dict(zip(cases.tolist(), sides.tolist(), strict=True))
    part_of = np.array([half_of[case] for case in experiment.slices.table["case"][rows].tolist()])
    halves = [_start_half(experiment, start, rows[part_of != part], part) for part in (0, 1)]
    for number in range(1, ROUNDS + 1):
        for half in halves:
            _train_half(experiment, half, number)
        models = [MultiScale(half.learner.teacher.eval(), ((1, 1),), experiment.divisor) for half in halves]
        noise = _compare(experiment, models, rows, half_of)
        if all(entry.judged for entry in noise.classes):
            break
    write_noise(folder, noise)
    for line in describe_errors(experiment.names[1:], noise):
        experiment.progress(Progress("noise", notice=line))
    _tell_bias(experiment, noise)
    tell_omissions(experiment, noise)
    return noise


@dataclass(frozen=True)
class _Half:
    """One of the two plain networks (cross-entropy, one scale), which slices it may see, and which half it is."""

    learner: Learner
    plain: Settings
    rows: NDArray[np.intp]
    part: int


def _start_half(
    experiment: Experiment, start: Callable[[Experiment], Learner], rows: NDArray[np.intp], part: int
) -> _Half:
    settings = experiment.settings
    plain = msgspec.structs.replace(
        settings,
        seed=settings.seed + _SEED * (part + 1),
        loss=LossSettings(scales=((1, 1),), weight=0.0, dice_steps=settings.loss.dice_steps),
        correction=CorrectionSettings(enabled=False),
        coteaching=type(settings.coteaching)(),
    )
    return _Half(start(_isolate(experiment, plain)), plain, rows, part)


def _isolate(experiment: Experiment, plain: Settings) -> Experiment:
    return Experiment(plain, experiment.slices, experiment.names, experiment.device, lambda _: None)


def _train_half(experiment: Experiment, half: _Half, number: int) -> None:
    """Train it to the end of the round ``number`` (from 1), of ``noise.steps`` steps each.

    A round after the first one means that some class has not been learnt: then soft Dice, which small classes need, stays.
    """
    learner, steps = half.learner, experiment.settings.noise.steps
    total = number * steps
    dice = half.plain.loss.dice_steps if number == 1 else total
    alone = _isolate(
        experiment,
        msgspec.structs.replace(half.plain, loss=msgspec.structs.replace(half.plain.loss, dice_steps=dice)),
    )
    size = half.plain.optimiser.batch_size
    while learner.step < total:
        rng = np.random.default_rng((half.plain.seed, learner.epoch))
        shown = rng.permutation(half.rows)[: (total - learner.step) * size]
        before = learner.step
        train_epoch(learner, alone, shown, np.array(experiment.slices.labels[shown]))
        learner.epoch += 1
        done = (number - 1 + half.part) * steps + learner.step  # the other half trains as long
        experiment.progress(Progress("noise", done, 2 * total))
        if learner.step == before:  # not one finite step in a whole pass: there is nothing to wait for
            break


def _compare(
    experiment: Experiment, models: list[MultiScale], rows: NDArray[np.intp], half_of: dict[int, int]
) -> Noise:
    """The noise from at most ``noise.cases`` cases; model ``i`` has not seen the cases of half ``i``.

    Where trusted cases tell that a class is drawn too large or too small, so are the networks' predictions, and the labels are judged by
    predictions that are moved back: for a bias that everybody shares no disagreement would be left otherwise.
    """
    slices = experiment.slices
    known = np.array([case in slices.trusted for case in slices.case_ids])
    cases = choose_cases(np.array(sorted(half_of)), known, experiment.settings.noise.cases)
    trusted = known[cases]
    calibrated = bool(np.count_nonzero(trusted) >= LEAST_TRUSTED)
    apart = experiment.settings.correction.restore
    held = np.ones((len(cases), experiment.classes - 1), np.bool_)
    if apart:
        held = np.array([find_held(slices, case, experiment.classes) for case in cases.tolist()])
    whole = known[cases] | ~held.all(1)
    views = [
        _View(
            models[half_of[case]], models[1 - half_of[case]], _rows_of(slices, rows, case, whole=bool(all_of_it)), here
        )
        for case, all_of_it, here in zip(cases.tolist(), whole, held, strict=True)
    ]
    found = _count_cases(experiment, views, (), offsets=calibrated)
    shifts = find_shifts(*found.offsets, trusted) if calibrated else ()
    counts = _count_cases(experiment, views, shifts, offsets=False).counts if any(shifts) else found.counts
    noise = estimate_noise(counts, trusted=trusted, seed=experiment.settings.seed)
    if apart:
        sight = found.lookout.sum_up(held | trusted[:, None])  # what is right lacks what it lacks
        noise = add_omissions(noise, experiment, cases, sight, lambda case: models[half_of[case]])
    if not calibrated:
        return noise
    biases = estimate_bias(*found.offsets, trusted)
    entries = (
        replace(entry, bias=bias, shift=shift) for entry, bias, shift in zip(noise.classes, biases, shifts, strict=True)
    )
    return replace(noise, classes=tuple(entries))


@dataclass(frozen=True)
class _View:
    """A case as the network that has not seen it (``fresh``) and the one that has (``seen``) look at it: its ``rows``.

    ``held [K - 1]``: the classes by which its labels are judged.
    """

    fresh: MultiScale
    seen: MultiScale
    rows: NDArray[np.intp]
    held: NDArray[np.bool_]


def _rows_of(slices: Slices, rows: NDArray[np.intp], case: int, *, whole: bool) -> NDArray[np.intp]:
    """The ``rows`` of a case, or with ``whole`` all of its labelled ones.

    Trusted cases are few, and all of their slices are right; and whether a class was left out does not show in one slice.
    """
    pool = slices.rows_of(case) if whole else rows[slices.table["case"][rows] == case]
    labelled: NDArray[np.intp] = pool[slices.table["foreground"][pool]]  # as all of ``rows`` are
    return labelled


@dataclass(frozen=True)
class _Found:
    """What is known of each case.

    ``counts``: what ``estimate_noise`` needs. ``offsets``: how far the labels' outlines lie from those of the predictions as they are
    (``labels.bias``), where they were asked for. ``lookout``: what is seen of the classes, drawn or not.
    """

    counts: Counts
    offsets: tuple[NDArray[np.float64], NDArray[np.int64]]
    lookout: Lookout


def _count_cases(experiment: Experiment, views: list[_View], shifts: tuple[float, ...], *, offsets: bool) -> _Found:
    """What is to be known of each case, by predictions whose outlines are moved by ``shifts``.

    A class by which a case is not judged is not counted: it is judged as an omission.
    """
    slices, classes, outline = experiment.slices, experiment.classes, experiment.settings.correction.outline
    table: list[tuple[NDArray[np.int64], ...]] = []
    sums: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    lookout = Lookout(classes)
    for view in views:
        labels = np.array(slices.labels[view.rows])
        fresh, seen = (
            np.concatenate([part for _, part in predict_probabilities(model, slices, view.rows, experiment.device)])
            for model in (view.fresh, view.seen)
        )
        expected = move_outlines(_move(fresh, labels, outline), shifts)
        agreed, either, area, edges = count_overlap(labels, expected, classes)
        drawn = np.where(labels == IGNORE, labels, choose_best(seen)[0])  # as if the other network had drawn the labels
        shared, shown, _, _ = count_overlap(drawn, _move(fresh, drawn, outline), classes)
        table.append(tuple(values * view.held for values in (agreed, either, shared, shown, area, edges)))
        lookout.add(labels, fresh)
        if offsets:
            sums.append(measure_offsets(labels, choose_best(fresh)[0], classes))
    counts = Counts(*(np.array(column) for column in zip(*table, strict=True)))
    moved = np.array([one for one, _ in sums]), np.array([one for _, one in sums], np.int64)
    return _Found(counts, moved, lookout)


def _move(probabilities: NDArray[np.float32], labels: NDArray[np.uint8], outline: float) -> NDArray[np.uint8]:
    """What correcting ``labels [n, H, W]`` in every pixel would make of them."""
    return choose_best(combine_slices(probabilities, labels, outline))[0]


def choose_cases(cases: NDArray[np.intp], trusted: NDArray[np.bool_], limit: int) -> NDArray[np.intp]:
    """At most ``limit`` of ``cases``, evenly spread, ascending; up to half of ``limit`` are kept for those that are ``trusted [case]``."""
    known, others = cases[trusted[cases]], cases[~trusted[cases]]
    known = _spread(known, limit // 2)
    return np.sort(np.concatenate([known, _spread(others, limit - len(known))]))


def _spread(cases: NDArray[np.intp], limit: int) -> NDArray[np.intp]:
    count = min(len(cases), limit)
    return cases[np.linspace(0, len(cases) - 1, count).round().astype(np.intp)] if count else cases[:0]


def describe_errors(names: Sequence[str], noise: Noise) -> Iterator[str]:
    """A line for each class of ``names`` that looks noisy; of the others the end of the training tells why they are left alone."""
    for name, entry in zip(names, noise.classes, strict=True):
        if entry.judged and entry.noisy:
            error, low, high = (f"{100 * share:.0f}" for share in (entry.error, entry.low, entry.high))
            yield f"class {name}: label error of about {error} % (90 % interval: {low} to {high} %)"


def _tell_bias(experiment: Experiment, noise: Noise) -> None:
    for name, entry in zip(experiment.names[1:], noise.classes, strict=True):
        pixels = round(entry.bias or 0.0, 1)
        if pixels:
            size = "large" if pixels > 0 else "small"
            moved = "; its outlines are moved back before anything is learnt from them" if entry.shift else ""
            experiment.progress(Progress("noise", notice=f"class {name}: drawn {abs(pixels)} px too {size}{moved}"))
