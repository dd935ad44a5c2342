"""Correct the labels of the slices that the next epoch will show (algorithm section 4).

Every correction starts from the original labels, so only the slices that are about to be seen need one, and what an epoch sees
is a function of the teacher's weights, the original labels and the triggered classes: a resumed run recomputes it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from adelecli.labels.correction import (
    Change,
    Rule,
    add_changes,
    correct_labels,
    count_changes,
    find_present,
    guard_collapse,
)
from adelecli.labels.omission import find_restored, sum_sizes
from adelecli.labels.outline import choose_best, combine_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from adelecli.training.dataset import Slices
    from adelecli.training.distribution import World
    from adelecli.training.network import MultiScale

    Prediction = tuple[NDArray[np.uint8], NDArray[np.float32]]

BATCH = 32


@dataclass
class Corrections:
    """What a correction did: changes per class, cases in which the guard cancelled a class."""

    changes: tuple[Change, ...]
    cancelled: dict[str, tuple[int, ...]] = field(default_factory=dict)


@torch.inference_mode()
def predict_probabilities(
    model: MultiScale, slices: Slices, rows: NDArray[np.intp], device: torch.device
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Batches of ``(rows, probabilities [n, K, H, W])``; the model must be in eval mode."""
    for part, image in _read_batches(slices, rows, device):
        yield part, model.probabilities(image).float().cpu().numpy()


@torch.inference_mode()
def predict_rows(
    model: MultiScale, slices: Slices, rows: NDArray[np.intp], device: torch.device, outline: float = 0.0
) -> Iterator[tuple[NDArray[np.intp], Prediction, Prediction]]:
    """Batches of ``(rows, prediction, own)``, both (label, confidence) ``[n, H, W]``; the model must be in eval mode.

    ``outline``: the weight with which the prediction is averaged along the outline of the original labels (``labels.outline``); ``own``
    is the network's word without that.
    """
    if outline:
        for part, probabilities in predict_probabilities(model, slices, rows, device):
            yield (
                part,
                choose_best(combine_slices(probabilities, slices.labels[part], outline)),
                choose_best(probabilities),
            )
        return
    for part, image in _read_batches(slices, rows, device):
        _, label, confidence = model(image)
        answer = label.cpu().numpy(), confidence.float().cpu().numpy()
        yield part, answer, answer


def _read_batches(
    slices: Slices, rows: NDArray[np.intp], device: torch.device
) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        yield part, torch.from_numpy(np.ascontiguousarray(slices.images[part])).to(device)


def correct_rows(
    model: MultiScale,
    slices: Slices,
    rows: NDArray[np.intp],
    rule: Rule,
    *,
    guard: float,
    device: torch.device,
) -> tuple[NDArray[np.uint8], Corrections]:
    """Corrected labels ``[len(rows), H, W]`` in the order of ``rows``, and what was changed.

    The guard judges the shown slices of a case together. Rows without a triggered class are not predicted under
    ``constraint="slice"``, because nothing there may change, and those of trusted cases never are.
    """
    order = np.argsort(rows, kind="stable")
    corrected = np.array(slices.labels[rows])
    counts = Corrections(tuple(Change(0, 0, 0, 0) for _ in rule.tau))
    case_of = slices.table["case"][rows]
    missing = {case: lack for case in np.unique(case_of).tolist() if (lack := _find_missing(slices, case, rule))}
    could = find_eligible(corrected[order], rule) | np.isin(case_of[order], list(missing))
    eligible = order[could & ~slices.is_trusted[rows[order]]]
    for part in _whole_cases(eligible, case_of):
        found = list(predict_rows(model, slices, rows[part], device, rule.outline))
        prediction = join_predictions([answer for _, answer, _ in found])
        before = corrected[part]
        case = int(case_of[part[0]])
        after, cancelled = correct_case(slices, rows[part], before, prediction, rule, guard)
        if case in missing:
            own = join_predictions([answer for _, _, answer in found])
            after = _restore_classes(before, after, own, rule, missing[case])
        if cancelled:
            counts.cancelled[slices.case_ids[case]] = cancelled
        counts.changes = add_changes(counts.changes, count_changes(before, after, len(rule.tau)))
        corrected[part] = after
    return corrected, counts


def join_predictions(parts: Sequence[Prediction]) -> Prediction:
    """One prediction of all slices from those of batches."""
    return np.concatenate([label for label, _ in parts]), np.concatenate([value for _, value in parts])


def _find_missing(slices: Slices, case: int, rule: Rule) -> frozenset[int]:
    """The classes that the case has in none of its slices, shown or not, and that may be restored."""
    return rule.restorable - find_classes(slices, case) if rule.restorable else frozenset()


def _restore_classes(
    original: NDArray[np.uint8], labels: NDArray[np.uint8], own: Prediction, rule: Rule, missing: frozenset[int]
) -> NDArray[np.uint8]:
    """The corrected ``labels [n, H, W]`` of a case with those of the classes ``missing`` that it should have (``labels.omission``)."""
    assert rule.restoration is not None  # or nothing would be missing
    added = find_restored(original, *own, rule.tau, missing)
    chosen = rule.restoration.choose(sum_sizes(added, len(rule.tau)))
    return np.where((labels == 0) & np.isin(added, sorted(chosen)), added, labels)


def correct_together(
    model: MultiScale, slices: Slices, rows: NDArray[np.intp], rule: Rule, *, guard: float, world: World
) -> tuple[NDArray[np.uint8], Corrections]:
    """``correct_rows``, each process correcting the cases that are its own; every process gets the labels of all rows.

    Whole cases, because the guard judges the shown slices of a case together.
    """
    if world.size == 1:
        return correct_rows(model, slices, rows, rule, guard=guard, device=world.device)
    own = slices.table["case"][rows] % world.size == world.rank
    part, counts = correct_rows(model, slices, rows[own], rule, guard=guard, device=world.device)
    labels = np.zeros((len(rows), *part.shape[1:]), np.uint8)
    labels[own] = part
    changes = np.array([[c.before, c.after, c.added, c.removed] for c in counts.changes], np.int64)
    cancelled = np.zeros((len(slices.case_ids), len(rule.tau)), np.int64)
    for number, case in enumerate(slices.case_ids):
        cancelled[number, list(counts.cancelled.get(case, ()))] = 1
    labels, changes, cancelled = (world.sum_array(values) for values in (labels, changes, cancelled))
    return labels, Corrections(
        tuple(Change(*map(int, row)) for row in changes),
        {slices.case_ids[i]: tuple(map(int, np.flatnonzero(cancelled[i]))) for i in np.flatnonzero(cancelled.any(1))},
    )


def correct_case(
    slices: Slices,
    rows: NDArray[np.intp],
    before: NDArray[np.uint8],
    prediction: tuple[NDArray[np.uint8], NDArray[np.float32]],
    rule: Rule,
    guard: float,
) -> tuple[NDArray[np.uint8], tuple[int, ...]]:
    """The labels ``before [n, H, W]`` of one case's ``rows``, corrected by ``prediction`` (label, confidence); classes cancelled.

    The guard compares with the original labels, also where ``before`` has been corrected already: a class that loses a third
    each time would otherwise vanish step by step. What it cancels goes back to the original labels. A trusted case stays as it is.
    """
    case = int(slices.table["case"][rows[0]])
    if slices.case_ids[case] in slices.trusted:
        return before.copy(), ()
    original = np.array(slices.labels[rows])
    asked = rule.gate is not None or rule.reach == "volume"
    present = find_classes(slices, case) if asked else frozenset()
    if rule.gate is not None and not rule.admits(rule.gate.count(original, prediction[0]), present):
        return before.copy(), ()
    after = correct_labels(before, *prediction, rule, present=present)
    if guard >= 1:
        return after, ()
    return guard_collapse(original, after, sorted(rule.triggered), limit=guard)


def find_eligible(labels: NDArray[np.uint8], rule: Rule) -> NDArray[np.bool_]:
    """Which slices of ``labels [n, H, W]`` may change at all: under ``constraint="slice"`` those that hold a triggered class."""
    if rule.constraint != "slice":
        return np.ones(len(labels), dtype=bool)
    return np.asarray(np.isin(labels, sorted(rule.triggered)).any((1, 2)))


def _whole_cases(positions: NDArray[np.intp], case_of: NDArray[np.int32]) -> Iterator[NDArray[np.intp]]:
    """``positions`` (sorted by row, hence by case) cut where the case changes."""
    if len(positions):
        yield from np.split(positions, np.flatnonzero(np.diff(case_of[positions])) + 1)


def find_classes(slices: Slices, case: int) -> frozenset[int]:
    """The classes of the whole case's original labels, shown or not."""
    return find_present(slices.labels[slices.rows_of(case)])
