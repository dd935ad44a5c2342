"""From the results of all seeds to the table: every figure as mean, spread and values.

What must hold: the share of the gap is taken within a seed, against that seed's own clean and noisy training, and only then averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.benchmarking.measures import (
    average_known,
    average_last,
    find_best,
    find_learnt,
    find_worst,
    share_gap,
    share_removed,
    spread_known,
    spread_learnt,
)
from adelecli.benchmarking.records import Figure, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adelecli.benchmarking.methods import Method
    from adelecli.benchmarking.records import CeilingRecord, Curve, RunScore

    Values = dict[str, float | None]
    Scores = Mapping[str, Mapping[int, RunScore]]


def list_rows(
    methods: Sequence[Method], seeds: Sequence[int], scores: Scores, ceiling: CeilingRecord | None
) -> tuple[Row, ...]:
    """One row a method. ``scores``: by name of the training and seed; a gap needs ``clean`` and ``noisy`` among them."""
    rows = []
    for method in methods:
        per_seed = [_collect(method, scores, seed, ceiling) for seed in seeds]
        figures = {name: make_figure([values.get(name) for values in per_seed]) for name in per_seed[0]}
        rows.append(Row(method.name, method.summary, method.network, figures))
    return tuple(rows)


def make_figure(values: Sequence[float | None]) -> Figure:
    """Mean and spread over the seeds."""
    return Figure(average_known(values), spread_known(values), tuple(values))


def choose_curve(score: RunScore, network: str) -> Curve:
    """The curve of the network that a method is judged by."""
    return score.student if network == "student" else score.teacher


def _collect(method: Method, scores: Scores, seed: int, ceiling: CeilingRecord | None) -> Values:
    score = scores[method.run][seed]
    curve = choose_curve(score, method.network)
    values = score_curve(curve, score.classes)
    for name, onset in score.onsets.items():
        values[f"onset:{name}"] = onset
    if "clean" in scores and "noisy" in scores:
        clean, noisy = scores["clean"][seed].teacher, scores["noisy"][seed].student
        values |= compare_curves(curve, noisy, clean, score.classes)
    values |= {
        "steps": score.steps,
        "seconds": score.seconds,
        "seconds_per_epoch": score.seconds_per_epoch,
        "peak_memory_mb": score.peak_memory_mb,
    }
    return values | score_changes(score, ceiling)


def score_curve(curve: Curve, classes: Sequence[str]) -> Values:
    """Best, last and mean of the last five epochs; per class the last five and the epoch at which it was learnt."""
    values: Values = {}
    for name, series in (("iou", curve.mean_iou), ("dice", curve.mean_dice)):
        values[f"{name}_best"] = find_best(series)
        values[f"{name}_last"] = series[-1] if series else None
        values[f"{name}_last_five"] = average_last(series)
    learnt = []
    for index, name in enumerate(classes):
        own = [epoch[index] if epoch else None for epoch in curve.iou]
        values[f"iou:{name}"] = average_last(own)
        values[f"learnt:{name}"] = find_learnt(own)
        learnt.append(find_learnt(own))
    values["learnt_spread"] = spread_learnt(learnt)
    return values


def compare_curves(curve: Curve, noisy: Curve, clean: Curve, classes: Sequence[str]) -> Values:
    """The share of the gap recovered on the last five epochs: of the mean IoU, of each class, of the worst class."""
    values: Values = {"gap": share_gap(*(average_last(one.mean_iou) for one in (curve, noisy, clean)))}
    scored = [score_curve(one, classes) for one in (curve, noisy, clean)]
    gaps = {f"gap:{name}": share_gap(*(values[f"iou:{name}"] for values in scored)) for name in classes}
    return values | {"gap_worst_class": find_worst(gaps.values())} | gaps


def score_changes(score: RunScore, ceiling: CeilingRecord | None) -> Values:
    """The corrected labels' figures; nothing for a run that corrected none."""
    labels = score.labels
    if labels is None:
        return {}
    values: Values = {}
    for prefix, rate in (("", labels.overall), ("band_", labels.band)):
        for name in ("error_before", "error_after", "precision", "recall", "fixed", "broken", "broken_per_fixed"):
            values[prefix + name] = getattr(rate, name)
    removable = None if ceiling is None else ceiling.removable
    values["removed"] = share_removed(labels.overall.error_before, labels.overall.error_after, removable)
    values |= {"harm": labels.harm, "rank_correlation": labels.rank_correlation, "found": labels.found}
    for name, rate in labels.classes.items():
        values[f"error_before:{name}"], values[f"error_after:{name}"] = rate.error_before, rate.error_after
    return values


def average_curves(
    methods: Sequence[Method], seeds: Sequence[int], scores: Scores
) -> dict[str, tuple[float | None, ...]]:
    """Per method the mean validation IoU of each epoch over the seeds."""
    curves = {}
    for method in methods:
        series = [choose_curve(scores[method.run][seed], method.network).mean_iou for seed in seeds]
        curves[method.name] = tuple(average_known(epoch) for epoch in zip(*series, strict=False))
    return curves
