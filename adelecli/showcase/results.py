"""What the demo measured, as one record: the table a person sees, ``results.json``, and what tests read.

Numbers only, taken from the runs' histories and from ``evaluate``; nothing here chooses among them. Shares run from 0 to 1; ``None``
stands for what could not be measured (a class that never triggered has no onset).
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import msgspec

from adelecli.errors import OK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adelecli.pipeline.scores import ErrorRate, Evaluation

    History = Sequence[Mapping[str, Any]]

LAST = 5


class LabelRow(msgspec.Struct, frozen=True):
    """The training labels of one organ (or of all, ``name="all organs"``).

    ``error_before``, ``error_after``: wrong voxels / voxels in the union of true and noisy organ; ``precision``: share of the
    changes that are right; ``recall``: share of the wrong voxels put right; ``onset``: epoch at which memorisation was detected.
    """

    name: str
    error_before: float | None
    error_after: float | None
    precision: float | None
    recall: float | None
    broken_per_fixed: float | None
    onset: int | None = None


class MethodRow(msgspec.Struct, frozen=True):
    """One way to train, scored on unseen patients with true labels; means over the organs.

    ``*_last``: mean of the last five epochs; ``*_best``: best epoch (chosen on these very patients, so it flatters every method
    alike); ``organ_dice``: Dice by organ, mean of the last five epochs; ``gap_recovered``: how much of the way from the noisy
    to the true labels the method goes, (its ``iou_last`` - noisy) / (clean - noisy); ``None`` where the noise did no harm.
    """

    name: str
    dice_last: float | None
    dice_best: float | None
    iou_last: float | None
    iou_best: float | None
    organ_dice: dict[str, float | None]
    gap_recovered: float | None = None


class DemoResult(msgspec.Struct, frozen=True):
    """The whole demo. Paths are relative to ``folder``; ``seconds`` has one entry per stage and ``total``.

    ``noise``: family, k, and its measured strength (``mean_iou`` with the truth, ``label_error``); ``exported_dice``: the exported
    ONNX file, run by ``adele predict`` on the unseen patients.
    """

    folder: str
    seed: int
    train_cases: int
    test_cases: int
    epochs: int
    noise: dict[str, object]
    labels: tuple[LabelRow, ...]
    methods: tuple[MethodRow, ...]
    exported_dice: float | None
    seconds: dict[str, float]
    files: dict[str, str]
    pictures: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """Always 0: a demo that ran to its end has done what it is for, whatever it shows."""
        return OK

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def list_labels(evaluation: Evaluation, onsets: Mapping[str, int | None]) -> tuple[LabelRow, ...]:
    """One row for all organs, then one for each, from ``evaluate`` of the corrected labels against the truth."""
    organs = (_make_row(row.name, row.label_error, onsets.get(row.name)) for row in evaluation.classes)
    return (_make_row("all organs", evaluation.label_error, None), *organs)


def _make_row(name: str, rate: ErrorRate | None, onset: int | None) -> LabelRow:
    if rate is None:
        return LabelRow(name, None, None, None, None, None, onset)
    return LabelRow(
        name, rate.error_before, rate.error_after, rate.precision, rate.recall, rate.broken_per_fixed, onset
    )


def compare_methods(histories: Mapping[str, History], organs: Sequence[str]) -> tuple[MethodRow, ...]:
    """The four rows of the table, from the histories ``baseline``, ``adele`` and ``clean``.

    The network as it stands is the baseline; all others are scored with the moving average of their weights, and so is the
    baseline once more: ADELE must beat that, not only plain training.
    """
    noisy = score_method("noisy labels", histories["baseline"], "student", organs)
    averaged = score_method("noisy labels + moving average", histories["baseline"], "teacher", organs)
    adele = score_method("ADELE", histories["adele"], "teacher", organs)
    clean = score_method("true labels (upper bound)", histories["clean"], "teacher", organs)
    middle = (msgspec.structs.replace(row, gap_recovered=_share_gap(row, noisy, clean)) for row in (averaged, adele))
    return (noisy, *middle, clean)


def _share_gap(row: MethodRow, noisy: MethodRow, clean: MethodRow) -> float | None:
    if row.iou_last is None or noisy.iou_last is None or clean.iou_last is None or clean.iou_last <= noisy.iou_last:
        return None
    return round((row.iou_last - noisy.iou_last) / (clean.iou_last - noisy.iou_last), 4)


def score_method(name: str, history: History, network: str, organs: Sequence[str]) -> MethodRow:
    """A row from a run's history; ``network`` is ``"student"`` (the weights themselves) or ``"teacher"`` (their average)."""
    scores = [record["val"][network] for record in history if record.get("val")]
    dice, iou = ([score[key] for score in scores] for key in ("mean_dice", "mean_iou"))
    by_organ = {organ: _mean([score["dice"][i] for score in scores[-LAST:]]) for i, organ in enumerate(organs, start=1)}
    return MethodRow(name, _mean(dice[-LAST:]), _best(dice), _mean(iou[-LAST:]), _best(iou), by_organ)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None


def _best(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 4) if known else None
