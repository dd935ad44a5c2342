"""What ``evaluate`` and ``corrupt`` report: scores of labels against a reference, per class, per case and over all.

Numbers that do not exist (a class in neither labels, a distance to nothing) are ``None``, never NaN. Means leave them out
and say how many cases they are the mean of.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from adelecli.pipeline.notebook import format_answer
from adelecli.pipeline.records import choose_exit_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adelecli.labels.overlap import LabelErrorCounts


class ErrorRate(msgspec.Struct, frozen=True):
    """How wrong labels were and are, in voxels per voxel of true or noisy foreground (evaluation.md, section 2).

    ``precision`` and ``recall`` are those of the changes; ``broken_per_fixed`` is below 1 where the correction helps.
    """

    error_before: float | None
    error_after: float | None
    precision: float | None
    recall: float | None
    changed: int
    fixed: int
    broken: int
    broken_per_fixed: float | None


class ClassScore(msgspec.Struct, frozen=True):
    """One class of one case. Distances are in the case's ``unit``, volumes in its cube.

    ``volume_difference`` is prediction minus reference, ``relative_volume_difference`` the same per reference volume. A class that
    only one side holds has Dice 0 and no distances.
    """

    id: int
    name: str
    dice: float | None
    iou: float | None
    hd95: float | None
    assd: float | None
    volume_prediction: float
    volume_reference: float
    volume_difference: float
    relative_volume_difference: float | None


class CaseScore(msgspec.Struct, frozen=True):
    """One case: its classes (background left out), their means, its label error where the labels before are known."""

    id: str
    unit: Literal["mm", "px"] = "mm"
    classes: tuple[ClassScore, ...] = ()
    dice: float | None = None
    iou: float | None = None
    label_error: ErrorRate | None = None
    error: str | None = None


class ClassMean(msgspec.Struct, frozen=True):
    """One class over all ``cases`` in which prediction or reference hold it; means over the cases that have the number."""

    id: int
    name: str
    cases: int
    dice: float | None
    iou: float | None
    hd95: float | None
    assd: float | None
    relative_volume_difference: float | None
    label_error: ErrorRate | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """The answer of ``evaluate``. ``dice`` and ``iou`` are means over the classes' means; ``label_error`` pools all voxels.

    ``missing`` are reference cases without a prediction, ``spare`` predictions without a reference: neither is scored.
    """

    cases: tuple[CaseScore, ...]
    classes: tuple[ClassMean, ...]
    dice: float | None
    iou: float | None
    label_error: ErrorRate | None
    missing: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line; the scores themselves are in ``cases`` and ``classes``."""
        return f"Evaluation({self._summary})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the summary, and the means of each class."""
        rows = [
            (one.name, one.cases, *(_show(value) for value in (one.dice, one.iou, one.hd95, one.assd)))
            for one in self.classes
        ]
        return format_answer("evaluate", self._summary, ("class", "cases", "Dice", "IoU", "HD95", "ASSD"), rows)

    @property
    def _summary(self) -> str:
        failed = sum(case.error is not None for case in self.cases)
        parts = [f"{len(self.cases) - failed} compared", f"mean Dice {_show(self.dice)}"]
        if failed:
            parts.insert(1, f"{failed} failed")
        if self.label_error is not None:
            parts.append(f"label error {_show(self.label_error.error_before)} -> {_show(self.label_error.error_after)}")
        return ", ".join(parts)

    @property
    def exit_code(self) -> int:
        """0 all compared, 3 some cases could not be, 7 none could."""
        return choose_exit_code(case.error for case in self.cases)

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def drop_infinite(value: float) -> float | None:
    """The number rounded to 6 digits after the point, or ``None`` when it is NaN or infinite."""
    return round(float(value), 6) if math.isfinite(value) else None


def average(values: Iterable[float | None]) -> float | None:
    """The mean of the numbers that exist; ``None`` when none does."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 6) if known else None


def make_error_rate(counts: LabelErrorCounts) -> ErrorRate:
    """The rates of counted voxels."""
    return ErrorRate(
        error_before=drop_infinite(counts.error_before),
        error_after=drop_infinite(counts.error_after),
        precision=drop_infinite(counts.precision),
        recall=drop_infinite(counts.recall),
        changed=counts.changed,
        fixed=counts.fixed,
        broken=counts.broken,
        broken_per_fixed=drop_infinite(counts.broken_per_fixed),
    )
