"""What could order a review queue besides its own score, each measured on one case alone; for ``triage.py``.

Every candidate is a number that is larger for a case that looks worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from adelecli.labels.surface import measure_surfaces
from adelecli.labels.triage import count_gap_edges, find_gaps

FAR_AWAY = 20.0
"""Millimetres that stand for the distance between surfaces of which one does not exist."""


@dataclass(frozen=True)
class Answer:
    """What the network says of a case, on canonical slices: ``probabilities [K, S, H, W]``; ``spacing`` in mm (s, h, w)."""

    probabilities: Any
    spacing: tuple[float, ...]

    @cached_property
    def label(self) -> Any:
        return self.probabilities.argmax(0)

    @cached_property
    def sure(self) -> Any:
        return self.probabilities.max(0).astype(np.float32)


def measure_candidates(given: Any, answer: Answer, memorised: list[int]) -> dict[str, float]:
    """Everything that could order cases, each so that more means worse."""
    wrong = given != answer.label
    held = (given > 0) | (answer.label > 0)
    classes = range(1, len(answer.probabilities))
    shifts, parts, flips = [], 0, 0
    for index in classes:
        ours, theirs = given == index, answer.label == index
        if ours.any() or theirs.any():
            shifts.append(min(measure_surfaces(ours, theirs, answer.spacing).average, FAR_AWAY))
        parts += abs(ndimage.label(ours)[1] - ndimage.label(theirs)[1])
        flips += ours.any() != theirs.any()
    own = np.take_along_axis(answer.probabilities, given[None], 0)[0].astype(np.float64)
    volumes = [np.log(np.count_nonzero(part > 0) + 1) for part in (given, answer.label)]
    return {
        "the score before": score_before(given, answer),
        "disagreement": np.count_nonzero(wrong) / max(np.count_nonzero(held), 1),
        "disagreement, memorised classes": share_memorised(given, answer.label, memorised),
        "surface shift, mm": float(np.mean(shifts)) if shifts else 0.0,
        "components added or lost": float(parts),
        "classes appearing or vanishing": float(flips),
        "volume against the network's": float(abs(volumes[0] - volumes[1])),
        "jumps between slices": share_jumps(given) - share_jumps(answer.label),
        "cleanlab softmin": 1 - softmin(own.ravel()),
        "regret": measure_regret(given, answer),
        "neighbours' labels": doubt_neighbours(given, len(answer.probabilities)),
        "mean self-confidence": 1 - float(own[held].mean()) if held.any() else 0.0,
    }


def score_before(given: Any, answer: Answer) -> float:
    """The score until the jumps reached two slices: disagreement by the squared mean confidence, and .4 of the jumps to the next slice.

    Without the part of the volumes, which needs a cohort and moves hardly any case here.
    """
    asked = given.any((1, 2))
    areas = np.count_nonzero(given, axis=(1, 2))
    held = (((given > 0) | (answer.label > 0)).T & asked).T
    missing = find_gaps(areas)[1]
    doubt = answer.sure[held & (given != answer.label)].sum() + missing
    pairs = np.flatnonzero(asked[:-1] & asked[1:])
    ours, theirs = ([one[pairs], one[pairs + 1]] for one in (given, answer.label))
    jumped, moved = (np.count_nonzero(first != second) for first, second in (ours, theirs))
    seen, shown = (np.count_nonzero((first > 0) | (second > 0)) for first, second in (ours, theirs))
    edges = count_gap_edges(areas)
    jumps = (jumped + edges) / (seen + edges) - moved / shown if seen and shown else 0.0
    return float(doubt / (held.sum() + missing) * answer.sure[held].mean() ** 2 + 0.4 * max(jumps, 0.0))


def measure_regret(given: Any, answer: Answer) -> float:
    """How much more probable the network holds its own answer than the label, as a share of the foreground that it expects or is drawn."""
    asked = given.any((1, 2))
    drawn = given[asked]
    own = answer.probabilities[:, asked].astype(np.float32)
    missing = find_gaps(np.count_nonzero(given, axis=(1, 2)))[1]
    lost = (own.max(0) - np.take_along_axis(own, drawn[None], 0)[0]).sum()
    return float((lost + missing) / (np.where(drawn > 0, 1.0, 1 - own[0]).sum() + missing))


def doubt_neighbours(given: Any, classes: int, reach: int = 2) -> float:
    """The share of the labels that the slices on either side, ``reach`` of them, do not share: no network is asked."""
    held = np.flatnonzero(given.any((1, 2)))
    drawn = given[held[0] : held[-1] + 1]
    votes, counts = np.zeros((classes, *drawn.shape), np.float32), np.zeros(len(drawn))
    for distance in range(1, min(reach, len(drawn) - 1) + 1):
        for index in range(classes):
            votes[index, :-distance] += drawn[distance:] == index
            votes[index, distance:] += drawn[:-distance] == index
        counts[:-distance] += 1
        counts[distance:] += 1
    votes /= np.maximum(counts, 1)[:, None, None]
    lost = (1 - np.take_along_axis(votes, drawn[None], 0)[0]).sum()
    return float(lost / np.where(drawn > 0, 1.0, 1 - votes[0]).sum())


def share_memorised(given: Any, label: Any, memorised: list[int]) -> float:
    """The disagreement among the voxels of memorised classes alone."""
    held = np.isin(given, memorised) | np.isin(label, memorised)
    return float(np.count_nonzero((given != label) & held) / max(np.count_nonzero(held), 1))


def share_jumps(labels: Any) -> float:
    """The share of foreground that differs from one slice to the next."""
    first, second = labels[:-1], labels[1:]
    held = np.count_nonzero((first > 0) | (second > 0))
    return float(np.count_nonzero(first != second) / max(held, 1))


def softmin(scores: Any, temperature: float = 0.1) -> float:
    """The image score of ``cleanlab.segmentation.rank.get_label_quality_scores`` (method ``softmin``), a volume being one image.

    The inner product of the pixels' scores (the probability of the given label) with ``softmax(1 - scores)``, as its documentation says.
    """
    weights = np.exp((1 - scores) / temperature)
    return float((scores * weights).sum() / weights.sum())
