"""From a finished run to its ``RunScore``: the curves of its history, and its corrected labels against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.benchmarking.measures import correlate_ranks, share_found
from adelecli.benchmarking.records import CaseLabels, Curve, LabelScores
from adelecli.labels.overlap import LabelError, LabelErrorCounts, label_error
from adelecli.labels.surface import find_boundary_band
from adelecli.pipeline.scores import make_error_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from adelecli.labels.classes import IndexArray

BAND_MM = 3.0


@dataclass(frozen=True)
class CaseTriple:
    """The labels of one case, class indices ``[S, H, W]`` with slices first; ``spacing`` in mm in the same order.

    ``rows``: the slices that were learnt from, which alone are judged; ``spoilt``: whether the case got noise.
    """

    id: str
    noisy: IndexArray
    true: IndexArray
    corrected: IndexArray
    spacing: tuple[float, float, float]
    rows: NDArray[np.intp]
    spoilt: bool


def read_curve(history: Sequence[Mapping[str, Any]], network: str) -> Curve:
    """The validation scores of ``student`` or ``teacher``, one entry an epoch; the background is left out."""
    scores = [(record.get("val") or {}).get(network, {}) for record in history]
    return Curve(
        tuple(score.get("mean_iou") for score in scores),
        tuple(score.get("mean_dice") for score in scores),
        tuple(tuple(score.get("iou", ())[1:]) for score in scores),
    )


def score_labels(triples: Iterable[CaseTriple], names: Sequence[str]) -> LabelScores:
    """Labels before and after a correction against the truth, pooled over the cases; ``names`` of all classes.

    Source: evaluation.md, section 2. The band is found in the whole case, in three dimensions, before the slices are cut out.
    """
    count = len(names)
    total = LabelError(LabelErrorCounts(), (LabelErrorCounts(),) * count)
    band, cases = LabelErrorCounts(), []
    harmed = unharmed = 0
    for triple in triples:
        noisy, true, corrected = (part[triple.rows] for part in (triple.noisy, triple.true, triple.corrected))
        error = label_error(noisy, true, corrected, n_classes=count)
        near = find_boundary_band(triple.true, triple.spacing, BAND_MM)[triple.rows]
        total += error
        band += label_error(noisy, true, corrected, n_classes=count, within=near).overall
        cases.append(_describe_case(triple, error.overall, noisy, corrected))
        if not triple.spoilt:
            harmed += error.overall.changed
            unharmed += error.overall.union
    changed, wrong = [case.changed_share for case in cases], [case.error_share for case in cases]
    return LabelScores(
        overall=make_error_rate(total.overall),
        band=make_error_rate(band),
        classes={name: make_error_rate(one) for name, one in list(zip(names, total.per_class, strict=True))[1:]},
        cases=tuple(cases),
        harm=round(harmed / unharmed, 6) if unharmed else None,
        rank_correlation=correlate_ranks(changed, wrong),
        found=share_found(changed, [float(case.wrong) for case in cases]),
    )


def _describe_case(triple: CaseTriple, error: LabelErrorCounts, noisy: IndexArray, corrected: IndexArray) -> CaseLabels:
    shown = int(np.count_nonzero((noisy > 0) | (corrected > 0)))
    return CaseLabels(
        id=triple.id,
        spoilt=triple.spoilt,
        wrong=error.wrong_before,
        changed=error.changed,
        foreground=error.union,
        changed_share=round(error.changed / shown, 6) if shown else 0.0,
        error_share=round(error.wrong_before / error.union, 6) if error.union else 0.0,
    )
