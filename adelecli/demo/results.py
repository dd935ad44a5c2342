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
    from pathlib import Path

    from adelecli.pipeline.scores import ErrorRate

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
    alike); ``organ_dice``: Dice by organ, mean of the last five epochs.
    """

    name: str
    dice_last: float | None
    dice_best: float | None
    iou_last: float | None
    iou_best: float | None
    organ_dice: dict[str, float | None]


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


def read_label_row(name: str, rate: ErrorRate | None, onset: int | None = None) -> LabelRow:
    """A row from what ``evaluate`` says about a class; without a label error every number is ``None``."""
    if rate is None:
        return LabelRow(name, None, None, None, None, None, onset)
    return LabelRow(
        name, rate.error_before, rate.error_after, rate.precision, rate.recall, rate.broken_per_fixed, onset
    )


def score_method(name: str, history: Sequence[Mapping[str, Any]], network: str, organs: Sequence[str]) -> MethodRow:
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


def name_files(folder: Path, **files: Path) -> dict[str, str]:
    """Where the demo's products lie, relative to its folder."""
    return {name: path.relative_to(folder).as_posix() for name, path in files.items()}
