"""What the benchmark keeps of one training, as one JSON file, and what it makes of all of them.

What must hold: a ``RunScore`` holds everything that the table needs, because the run itself is deleted; numbers that do not exist
are ``None``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from adelecli.errors import OK
from adelecli.pipeline.scores import ErrorRate


class Curve(msgspec.Struct, frozen=True):
    """Scores of one network on the held-out cases against the true masks, one entry an epoch.

    ``iou``: per epoch the IoU of each foreground class, in the order of ``RunScore.classes``.
    """

    mean_iou: tuple[float | None, ...]
    mean_dice: tuple[float | None, ...]
    iou: tuple[tuple[float | None, ...], ...]


class CaseLabels(msgspec.Struct, frozen=True):
    """The training labels of one case: voxels wrong before, changed, and shares of foreground voxels that are so.

    ``changed_share``: changed voxels per voxel of noisy or corrected foreground (what a user sees); ``error_share``: wrong voxels
    per voxel of noisy or true foreground; ``spoilt``: whether the case got noise at all.
    """

    id: str
    spoilt: bool
    wrong: int
    changed: int
    foreground: int
    changed_share: float
    error_share: float


class LabelScores(msgspec.Struct, frozen=True):
    """The corrected labels of the slices that were learnt from, against the truth.

    ``band``: within 3 mm of a true boundary; ``harm``: changed voxels per voxel of true foreground over the cases without
    noise (every change is wrong there); ``rank_correlation``: Spearman of changed and wrong share over the cases; ``found``: share of
    all wrong voxels in the fifth of the cases that changed most.
    """

    overall: ErrorRate
    band: ErrorRate
    classes: dict[str, ErrorRate]
    cases: tuple[CaseLabels, ...]
    harm: float | None
    rank_correlation: float | None
    found: float | None


class RunScore(msgspec.Struct, frozen=True):
    """One training of one method with one seed. ``seconds`` are those of its epochs, a resumed run's included."""

    key: str
    method: str
    seed: int
    classes: tuple[str, ...]
    steps: int
    student: Curve
    teacher: Curve
    onsets: dict[str, int | None]
    seconds: float
    seconds_per_epoch: float
    peak_memory_mb: float | None
    labels: LabelScores | None = None


class Figure(msgspec.Struct, frozen=True):
    """A number over the seeds: its mean, its standard deviation (n - 1), and the values in the order of the seeds."""

    mean: float | None
    spread: float | None
    values: tuple[float | None, ...]


class Row(msgspec.Struct, frozen=True):
    """One method. ``figures`` by name; those of a class end in ``:NAME``."""

    method: str
    summary: str
    network: str
    figures: dict[str, Figure]


class CeilingRecord(msgspec.Struct, frozen=True):
    """What the exact posterior of the noise would do to a draw of it (labels.noise.ceiling), on ``cases`` training cases.

    ``error_after``, ``precision``, ``recall``: one for each of ``taus``.
    """

    cases: int
    taus: tuple[float, ...]
    error_before: float | None
    error_after: tuple[float | None, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    foreground_iou: float | None

    @property
    def removable(self) -> float | None:
        """The largest share of the error that any of the ``taus`` removes; ``None`` without error."""
        lowest = min((error for error in self.error_after if error is not None), default=None)
        return None if lowest is None or not self.error_before else 1 - lowest / self.error_before


class Table(msgspec.Struct, frozen=True):
    """One noise at one end of the data. ``noise``: its name and options; ``measured``: its strength, the mean over the seeds."""

    key: str
    noise: dict[str, Any]
    measured: dict[str, float | None]
    ceiling: CeilingRecord | None
    slices_per_case: int
    epochs: int
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    settings: tuple[str, ...]
    data: str
    device: str
    versions: dict[str, str]
    rows: tuple[Row, ...]
    curves: dict[str, tuple[float | None, ...]]
    plots: tuple[str, ...] = ()


class BenchResult(msgspec.Struct, frozen=True):
    """The answer of ``bench``: its table, where everything lies, how many trainings were done and how many read back."""

    folder: str
    table: Table
    trained: int
    read_back: int
    files: dict[str, str]

    @property
    def exit_code(self) -> int:
        """Always 0: a benchmark that ran to its end has done what it is for, whatever it shows."""
        return OK

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()
