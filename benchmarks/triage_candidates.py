"""What could order a review queue besides its own score, each measured on one case alone; for ``triage.py``.

Every candidate is a number that is larger for a case that looks worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from adelecli.labels.surface import average_surface_distance

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
            shifts.append(min(average_surface_distance(ours, theirs, answer.spacing), FAR_AWAY))
        parts += abs(ndimage.label(ours)[1] - ndimage.label(theirs)[1])
        flips += ours.any() != theirs.any()
    own = np.take_along_axis(answer.probabilities, given[None], 0)[0].astype(np.float64)
    volumes = [np.log(np.count_nonzero(part > 0) + 1) for part in (given, answer.label)]
    return {
        "disagreement": np.count_nonzero(wrong) / max(np.count_nonzero(held), 1),
        "disagreement, memorised classes": share_memorised(given, answer.label, memorised),
        "surface shift, mm": float(np.mean(shifts)) if shifts else 0.0,
        "components added or lost": float(parts),
        "classes appearing or vanishing": float(flips),
        "volume against the network's": float(abs(volumes[0] - volumes[1])),
        "jumps between slices": share_jumps(given) - share_jumps(answer.label),
        "cleanlab softmin": 1 - softmin(own.ravel()),
        "mean self-confidence": 1 - float(own[held].mean()) if held.any() else 0.0,
    }


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
