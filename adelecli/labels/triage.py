"""Which cases a person should look at first: a prediction of how wrong a case's labels are, from what a run knows about it.

Why: nobody looks at two hundred cases, but twenty are looked at when each says why. The score is a sum of shares, so that every
part can be read as "this much of the outline is in doubt", and each reason in words stands for the part that raised it. What must
hold: all is a function of the numbers handed in; a part that was not measured adds nothing; more disagreement never lowers a score.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDEST_GAP = 5
"""Slices without a label in a row that still look forgotten."""
LEAST_COHORT = 8
"""Fewer cases than this with a class do not tell what volume is usual."""
FAR = 3.5
"""Robust deviations (median, MAD) beyond which a volume is unusual (Iglewicz & Hoaglin, "How to Detect and Handle Outliers", 1993)."""
VOLUME_WEIGHT = 0.05
"""What one robust deviation beyond ``FAR`` adds to a score."""
REACH = 2
"""Slices are held against so many on either side: two wrong slices beside each other do not differ, but both from the next but one."""
LEAST_JUMP = 0.1
"""Jumps of fewer than this share are no reason to be told."""
UNSURE = 0.8
"""A mean confidence below this is told as a reason."""


@dataclass(frozen=True)
class ClassEvidence:
    """One foreground class of a case, in voxels before and after the correction."""

    name: str
    before: int
    after: int
    added: int
    removed: int


@dataclass(frozen=True)
class Evidence:
    """What a run knows about a case.

    ``changed_share``: the largest share of a class that changed; ``disagreement``: the share of the foreground (of labels and
    network together) on which they disagree, weighted by the network's confidence; ``confidence`` its mean, 0..1; ``excess``: how
    many times more the labels disagree than honest ones would; ``gap_slices``: slices without a label between labelled ones;
    ``jumps``: the share of the foreground that differs from one slice to the next in the labels, less that in the network's answer;
    ``far_jumps``: the same from one slice to the next but one; ``refused``: the correction was too large to be published.
    """

    classes: tuple[ClassEvidence, ...] = ()
    changed_share: float = 0.0
    disagreement: float | None = None
    confidence: float | None = None
    excess: float | None = None
    gap_slices: int = 0
    jumps: float | None = None
    far_jumps: float | None = None
    refused: bool = False

    @property
    def jumpiness(self) -> float | None:
        """The mean of both kinds of jumps, or the one that is known (stores of earlier versions have no far ones)."""
        known = [share for share in (self.jumps, self.far_jumps) if share is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Verdict:
    """How badly a case needs a look (0: not at all), and why, the strongest reason first; ``changed_share`` settles equal scores."""

    score: float
    reasons: tuple[str, ...] = ()
    changed_share: float = 0.0


def weigh_record(record: Mapping[str, Any]) -> Evidence:
    """What a published record (of a store, as JSON has it) says that bears on whether the case needs a look."""
    classes = tuple(
        ClassEvidence(
            str(entry["name"]),
            entry["voxels_before"],
            entry["voxels_after"],
            entry["voxels_added"],
            entry["voxels_removed"],
        )
        for entry in list(record.get("classes") or [])[1:]
    )
    return Evidence(
        classes=classes,
        changed_share=float(record.get("changed_share") or 0.0),
        disagreement=record.get("disagreement"),
        confidence=record.get("mean_confidence"),
        excess=record.get("excess"),
        gap_slices=int(record.get("gap_slices") or 0),
        jumps=record.get("jumps"),
        far_jumps=record.get("far_jumps"),
        refused=record.get("status") == "quarantined",
    )


def judge_cases(cases: Sequence[Evidence]) -> tuple[Verdict, ...]:
    """A verdict for each case, in order; the cases are each other's cohort.

    The score is the disagreement times the network's mean confidence, as an unsure network disagrees with right labels, too (where it
    was not measured: the changed share of all foreground), and on top the labels' jumps from slice to slice, which need no network
    that is good, and the volume's distance from the cohort's. Disagreement and jumps weigh the same: no weight fitted to some data.
    """
    cohort = _measure_cohort(cases)
    return tuple(_judge_case(case, cohort) for case in cases)


def order_cases(verdicts: Sequence[Verdict], refused: Sequence[bool], ids: Sequence[str]) -> tuple[int, ...]:
    """The places of the cases, worst first: refused corrections, then by score, by changed share, by id."""
    return tuple(
        sorted(
            range(len(ids)), key=lambda at: (not refused[at], -verdicts[at].score, -verdicts[at].changed_share, ids[at])
        )
    )


def share_changed(classes: Sequence[ClassEvidence]) -> float:
    """Changed voxels per voxel of foreground before or after, 0..1; 0 without foreground.

    >>> share_changed([ClassEvidence("liver", 100, 120, 30, 10)])
    0.3076923076923077
    """
    changed = sum(entry.added + entry.removed for entry in classes)
    held = sum(max(entry.before, entry.after) + min(entry.added, entry.removed) for entry in classes)
    return min(1.0, changed / held) if held else 0.0


def find_gaps(areas: npt.NDArray[np.int64]) -> tuple[int, float]:
    """How many slices between labelled ones have no label, and how many pixels they should have had (linear interpolation).

    ``areas [S]``: labelled pixels per slice. Gaps of more than ``WIDEST_GAP`` slices do not count: they part two structures.

    >>> find_gaps(np.array([0, 4, 0, 8, 0]))
    (1, 6.0)
    """
    count, missing = 0, 0.0
    for first, last in _pair_edges(areas):
        count += last - first - 1
        missing += (last - first - 1) * (float(areas[first]) + float(areas[last])) / 2
    return count, missing


def count_gap_edges(areas: npt.NDArray[np.int64], distance: int = 1) -> int:
    """Labelled pixels in the slices that lie ``distance`` slices from one in the gaps of ``find_gaps``: each of them jumps to nothing.

    A slice with such a neighbour on both sides counts twice.

    >>> count_gap_edges(np.array([0, 4, 0, 8, 0]))
    12
    >>> count_gap_edges(np.array([0, 4, 5, 0, 8, 7]), distance=2)
    11
    """
    empty = np.zeros(len(areas), bool)
    for first, last in _pair_edges(areas):
        empty[first + 1 : last] = True
    early, late = areas[:-distance], areas[distance:]
    return int(early[empty[distance:]].sum() + late[empty[:-distance]].sum())


def _pair_edges(areas: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """The labelled slices before and after each gap."""
    held = np.flatnonzero(areas)
    return [(first, last) for first, last in pairwise(held.tolist()) if 1 < last - first <= WIDEST_GAP + 1]


def count_jumps(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Of two neighbouring slices of class indices ``[H, W]``: pixels that differ, and pixels that are foreground in either.

    >>> count_jumps(np.array([[0, 1, 1]], np.uint8), np.array([[0, 1, 0]], np.uint8)).tolist()
    [1, 2]
    """
    return np.array([np.count_nonzero(first != second), np.count_nonzero((first > 0) | (second > 0))], np.int64)


def _measure_cohort(cases: Sequence[Evidence]) -> dict[str, tuple[float, float]]:
    """Median and robust spread of the logarithm of each class's volume before the correction, in the cases that have it."""
    volumes: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        for entry in case.classes:
            if entry.before:
                volumes[entry.name].append(math.log(entry.before))
    cohort = {}
    for name, values in volumes.items():
        if len(values) >= LEAST_COHORT:
            middle = float(np.median(values))
            spread = 1.4826 * float(np.median(np.abs(np.array(values) - middle)))
            cohort[name] = (middle, max(spread, 0.05))  # volumes of patients differ by a few percent at least
    return cohort


def _judge_case(case: Evidence, cohort: dict[str, tuple[float, float]]) -> Verdict:
    changed = share_changed(case.classes) if case.classes else case.changed_share
    doubt = changed if case.disagreement is None else max(case.disagreement, 0.0) * _trust_network(case)
    jumps = case.jumpiness
    doubt += max(jumps or 0.0, 0.0)
    reasons: list[tuple[float, str]] = []
    for entry in case.classes:
        reasons += _explain_class(entry)
    distance = 0.0
    for entry in case.classes:
        if entry.name in cohort and entry.before:
            middle, spread = cohort[entry.name]
            away = (math.log(entry.before) - middle) / spread
            if abs(away) > FAR:
                distance = max(distance, abs(away) - FAR)
                times = math.exp(math.log(entry.before) - middle)
                reasons.append((0.5, f"{entry.name}: {times:.2g} times the usual volume"))
    if case.refused:
        reasons.append((2.0, f"correction refused: it would have changed {100 * case.changed_share:.0f} % of a class"))
    if case.excess is not None and case.excess > 1:
        reasons.append((0.4, f"labels disagree {case.excess:.1f} times as much as honest ones would"))
    if case.gap_slices:
        slices = "1 slice has" if case.gap_slices == 1 else f"{case.gap_slices} slices have"
        reasons.append((1.0, f"{slices} no label between labelled ones"))
    if jumps is not None and jumps >= LEAST_JUMP:
        reasons.append((jumps, f"labels jump from slice to slice ({100 * jumps:.0f} % more than the network's)"))
    if case.confidence is not None and case.confidence < UNSURE:
        reasons.append((0.3, f"the network is unsure (mean confidence {case.confidence:.2f})"))
    told = tuple(text for _, text in sorted(reasons, key=lambda reason: -reason[0]))
    return Verdict(doubt + VOLUME_WEIGHT * min(distance, 10.0), told, case.changed_share)


def _trust_network(case: Evidence) -> float:
    """How much a disagreement with the network says, 0..1; all where its confidence was not measured."""
    return 1.0 if case.confidence is None else min(max(case.confidence, 0.0), 1.0)


def _explain_class(entry: ClassEvidence) -> list[tuple[float, str]]:
    if entry.before and not entry.after:
        return [(1.5, f"{entry.name} vanishes")]
    if entry.after and not entry.before:
        return [(1.5, f"{entry.name} appears")]
    parts = []
    for count, of, what in ((entry.removed, entry.before, "loses"), (entry.added, entry.after, "gains")):
        if of and count / of >= 0.1:
            parts.append((count / of, f"{entry.name} {what} {100 * count / of:.0f} %"))
    return parts
