"""``evaluate``: labels against a reference, per class and case, and the label error before and after a correction.

Either side may be a store, a folder or a file. Cases pair by id; a pair must lie on one grid. Counts are pooled first and
divided last (``labels.overlap``), so that a small case does not weigh as much as a large one in the label error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import numpy as np

from adelecli.errors import CaseError, ConfigError, InputError
from adelecli.keywords import read_keywords
from adelecli.labels.classes import IGNORE, MAX_ID, ClassTable
from adelecli.labels.overlap import LabelErrorCounts, confusion, dice_scores, iou_scores, label_error
from adelecli.labels.surface import measure_surfaces
from adelecli.pipeline.options import StrPath, match_ids
from adelecli.pipeline.scores import (
    CaseScore,
    ClassMean,
    ClassScore,
    Evaluation,
    average,
    drop_infinite,
    make_error_rate,
)
from adelecli.pipeline.sources import Source, StoredLabels, is_single_file, open_source
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.volumes.naming import read_class_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from adelecli.labels.overlap import LabelError
    from adelecli.volumes.geometry import Geometry
    from adelecli.volumes.reading import Labels


_NO_CLASS = "relabel it, or name it, with all others, in the file that --classes names"


class EvaluateKeywords(TypedDict, total=False):
    """What ``evaluate`` takes."""

    before: StrPath | None
    labels: Literal["corrected", "original"]
    classes: StrPath | None
    cases: list[str]


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of ``evaluate``.

    ``before``: the noisy labels (default: the store's own originals); ``labels``: which labels of a store are judged;
    ``classes``: a ``labels.json`` that names the classes; ``cases``: patterns on ids.
    """

    before: StrPath | None = None
    labels: Literal["corrected", "original"] = "corrected"
    classes: StrPath | None = None
    cases: tuple[str, ...] | list[str] = ()

    def __post_init__(self) -> None:
        if self.labels not in {"corrected", "original"}:
            raise ConfigError(f"`labels` is {self.labels!r}", remedy="choose corrected or original")


@dataclass(frozen=True)
class _Pair:
    """Two sources and, where known, the labels before; case ids of the reference -> of the others."""

    prediction: Source
    reference: Source
    before: Source | None
    table: ClassTable | None
    ids: Mapping[str, str]


@dataclass(frozen=True)
class _Judged:
    score: CaseScore
    ids: tuple[int, ...] = ()
    error: LabelError | None = None


def evaluate(
    prediction: StrPath,
    reference: StrPath,
    *,
    progress: Callback = ignore_progress,
    **options: Unpack[EvaluateKeywords],
) -> Evaluation:
    """Compare the labels in ``prediction`` with those in ``reference``; each a store, a folder or a file.

    Dice, IoU, HD95 and ASSD as in ``labels.overlap`` and ``labels.surface``, without background; options are those of
    ``EvaluateOptions``. A case that cannot be compared stands in the result with its error.
    Raises ``InputError`` when a side holds no labels or no case is on both, ``ConfigError`` for a bad class table.

    >>> evaluation = evaluate("cleaned.zarr", "true-masks")  # doctest: +SKIP
    """
    chosen = read_keywords(EvaluateOptions, options)
    pair = _open_pair(Path(prediction), Path(reference), chosen)
    names = match_ids(sorted(pair.ids), chosen.cases)
    judged = []
    for done, name in enumerate(names):
        progress(Progress("evaluate", done, len(names), name))
        judged.append(_judge_case(name, pair, progress))
    progress(Progress("evaluate", len(names), len(names)))
    return _summarise(judged, pair)


def _open_pair(prediction: Path, reference: Path, options: EvaluateOptions) -> _Pair:
    left, right = open_source(prediction, options.labels), open_source(reference)
    if options.before is not None:
        before: Source | None = open_source(Path(options.before), "original")
    else:
        before = left.find_original() if isinstance(left, StoredLabels) else None
    named = None if options.classes is None else read_class_table(Path(options.classes))
    table = named or right.read_table() or left.read_table()
    common = {name: name for name in right.case_ids if name in set(left.case_ids)}
    if is_single_file(left) and is_single_file(right):
        common = {right.case_ids[0]: left.case_ids[0]}
    if not common:
        fact = f"has no case in common with {reference} ({_sample(left)} against {_sample(right)})"
        raise InputError(fact, path=prediction, remedy="give a mask and its prediction the same name")
    return _Pair(left, right, before, table, common)


def _sample(source: Source) -> str:
    ids = source.case_ids
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")


def _judge_case(name: str, pair: _Pair, progress: Callback) -> _Judged:
    try:
        return _compare(name, pair)
    except CaseError as error:
        progress(Progress("case", case=name, notice=str(error)))
        return _Judged(CaseScore(name, error=str(error)))


def _compare(name: str, pair: _Pair) -> _Judged:
    prediction, reference = _read_both(name, pair)
    there, here = pair.prediction.locate(pair.ids[name]), pair.reference.locate(name)
    _check_grid(prediction, reference, there)
    before = _read_before(name, pair, reference)
    arrays = [labels.array for labels in (prediction, reference, before) if labels is not None]
    table = pair.table or collect_classes(arrays)
    predicted = table.encode(prediction.array, path=there, remedy=_NO_CLASS)
    true = table.encode(reference.array, path=here, remedy=_NO_CLASS)
    geometry = reference.geometry
    scores = tuple(_score_classes(predicted, true, table, geometry))
    error = None
    if before is not None:
        error = label_error(
            table.encode(before.array, path=name, remedy=_NO_CLASS), true, predicted, n_classes=len(table)
        )
    score = CaseScore(
        id=name,
        unit="px" if geometry.kind == "raster" else "mm",
        classes=scores,
        dice=average(score.dice for score in scores),
        iou=average(score.iou for score in scores),
        label_error=None if error is None else make_error_rate(error.overall),
    )
    return _Judged(score, table.ids, error)


def _read_both(name: str, pair: _Pair) -> tuple[Labels, Labels]:
    reference = pair.reference.read(name)
    prediction = pair.prediction.read(pair.ids[name], reference.geometry)
    if reference.geometry.describe_difference(prediction.geometry) is not None:
        reference = pair.reference.read(name, prediction.geometry)  # it may be the one that leaves out empty slices
    return prediction, reference


def _check_grid(labels: Labels, reference: Labels, place: object) -> None:
    difference = reference.geometry.describe_difference(labels.geometry)
    if difference is not None:
        raise CaseError(
            f"does not lie on the grid of its reference: {difference}", path=place, remedy="resample one of them"
        )


def _read_before(name: str, pair: _Pair, reference: Labels) -> Labels | None:
    if pair.before is None:
        return None
    noisy = name if name in pair.before.case_ids else pair.ids[name]
    if is_single_file(pair.before):
        noisy = pair.before.case_ids[0]
    elif noisy not in pair.before.case_ids:
        raise CaseError(
            "has no labels from before the correction", path=name, remedy="correct --before, or leave it out"
        )
    labels = pair.before.read(noisy, reference.geometry)
    _check_grid(labels, reference, pair.before.locate(noisy))
    return labels


def collect_classes(arrays: list[NDArray[np.unsignedinteger]]) -> ClassTable:
    """A table of the ids that occur, where nobody names them; 255 is the ignore label by convention."""
    seen = np.zeros(MAX_ID + 1, np.bool_)
    seen[0] = True
    for array in arrays:
        for part in array:  # an index array takes 8 bytes a voxel: never for a whole volume
            seen[part] = True
    seen[IGNORE] = False
    ids = tuple(int(number) for number in np.flatnonzero(seen))
    return ClassTable(ids, tuple(f"class {number}" if number else "background" for number in ids))


def _score_classes(
    predicted: NDArray[np.uint8], true: NDArray[np.uint8], table: ClassTable, geometry: Geometry
) -> Iterator[ClassScore]:
    predicted = np.where(true == IGNORE, IGNORE, predicted)  # what the reference leaves open counts nowhere
    counts = confusion(predicted, true, len(table))
    dice, iou = dice_scores(counts), iou_scores(counts)
    spacing = (1.0, 1.0, 1.0) if geometry.kind == "raster" else geometry.spacing
    voxel = float(np.prod(spacing))
    for index in range(1, len(table)):
        a, b = predicted == index, true == index
        distances = measure_surfaces(a, b, spacing)
        size, wanted = int(np.count_nonzero(a)) * voxel, int(np.count_nonzero(b)) * voxel
        yield ClassScore(
            id=table.ids[index],
            name=table.names[index],
            dice=drop_infinite(dice[index]),
            iou=drop_infinite(iou[index]),
            hd95=drop_infinite(distances.hausdorff95),
            assd=drop_infinite(distances.average),
            volume_prediction=round(size, 3),
            volume_reference=round(wanted, 3),
            volume_difference=round(size - wanted, 3),
            relative_volume_difference=drop_infinite((size - wanted) / wanted) if wanted else None,
        )


def _summarise(judged: list[_Judged], pair: _Pair) -> Evaluation:
    overall: LabelErrorCounts | None = None
    pooled: dict[int, LabelErrorCounts] = {}
    for one in judged:
        if one.error is not None:
            overall = (overall or LabelErrorCounts()) + one.error.overall
            for number, counts in zip(one.ids, one.error.per_class, strict=True):
                pooled[number] = pooled.get(number, LabelErrorCounts()) + counts
    classes = tuple(_average_classes([one.score for one in judged], pooled))
    used = set(pair.ids.values())
    return Evaluation(
        cases=tuple(one.score for one in judged),
        classes=classes,
        dice=average(mean.dice for mean in classes),
        iou=average(mean.iou for mean in classes),
        label_error=None if overall is None else make_error_rate(overall),
        missing=tuple(name for name in pair.reference.case_ids if name not in pair.ids),
        spare=tuple(name for name in pair.prediction.case_ids if name not in used),
    )


def _average_classes(cases: list[CaseScore], pooled: Mapping[int, LabelErrorCounts]) -> Iterator[ClassMean]:
    by_id: dict[int, list[ClassScore]] = {}
    for case in cases:
        for score in case.classes:
            by_id.setdefault(score.id, []).append(score)
    for number, scores in sorted(by_id.items()):
        yield ClassMean(
            id=number,
            name=scores[0].name,
            cases=sum(score.dice is not None for score in scores),
            dice=average(score.dice for score in scores),
            iou=average(score.iou for score in scores),
            hd95=average(score.hd95 for score in scores),
            assd=average(score.assd for score in scores),
            relative_volume_difference=average(score.relative_volume_difference for score in scores),
            label_error=make_error_rate(pooled[number]) if number in pooled else None,
        )
