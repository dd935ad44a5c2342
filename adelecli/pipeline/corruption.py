"""``corrupt``: clean masks made noisy on purpose, seeded, so that cleaning them again can be measured.

The noise of a case depends on the seed and its id alone, never on the other cases. A family's name says nothing about its
strength, so the measured overlap with the clean labels always stands beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import msgspec
import numpy as np

from adelecli.errors import CaseError, ConfigError, OutputError
from adelecli.intake.formats import list_masks, read_labels
from adelecli.keywords import read_keywords
from adelecli.labels.noise.registry import FAMILIES, corrupt_labels
from adelecli.labels.overlap import LabelErrorCounts, confusion, iou_scores, label_error
from adelecli.pipeline.comparison import collect_classes
from adelecli.pipeline.conversion import write_class_names
from adelecli.pipeline.filing import open_folder
from adelecli.pipeline.records import choose_exit_code
from adelecli.pipeline.scores import average, drop_infinite
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.replacement import write_text
from adelecli.runtime.preparation import move_axis, restore_axis
from adelecli.volumes.cases import find_masks
from adelecli.volumes.naming import read_class_table
from adelecli.volumes.writing import write_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from adelecli.labels.classes import ClassTable
    from adelecli.pipeline.options import StrPath
    from adelecli.volumes.cases import Case

MEASURES = "corruption.json"
DEFAULT_K = (
    "1-5"  # with k = 4 alone every disputed pixel is a coin toss, which nothing can learn (evaluation.md, section 3)
)


class NoiseKeywords(TypedDict, total=False):
    """What describes a noise, wherever one is asked for."""

    noise: str
    k: str | Sequence[int] | None
    share: float | None
    coherent: bool | None
    settings: Mapping[str, object]
    classes: Sequence[str]
    axis: Literal["z", "y", "x"]


class CorruptKeywords(NoiseKeywords, total=False):
    """What ``corrupt`` takes."""

    seed: int
    overwrite: bool


@dataclass(frozen=True)
class NoiseOptions:
    """``noise``: the family (``labels.noise``); ``k``, ``share``, ``coherent``, ``settings``: its own options, where it has them.

    ``k`` is written ``1-5`` (the default of ``adele-de``) or ``2,3,4``. ``classes``: which are corrupted, in this order
    (default: all, ascending). ``axis``: the canonical axis along which slices are cut, each of them corrupted by itself.
    """

    noise: str = "adele-de"
    k: str | Sequence[int] | None = None
    share: float | None = None
    coherent: bool | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    classes: Sequence[str] = ()
    axis: Literal["z", "y", "x"] = "z"


@dataclass(frozen=True)
class CorruptOptions(NoiseOptions):
    """A noise with the ``seed`` of its draws, checked; ``overwrite``: whether files of an earlier run are replaced."""

    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.noise not in FAMILIES:
            raise ConfigError(f"there is no noise {self.noise!r}", remedy=f"choose {', '.join(FAMILIES)}")
        if self.axis not in {"z", "y", "x"}:
            raise ConfigError(f"`axis` is {self.axis!r}", remedy="choose z, y or x")
        if self.seed < 0:
            raise ConfigError(f"`seed` is {self.seed}", remedy="choose 0 or more")

    def family_options(self) -> dict[str, object]:
        """The options that were given, for the family."""
        k = DEFAULT_K if self.k is None and self.noise == "adele-de" else self.k
        given = {"k": None if k is None else parse_range(k), "share": self.share, "coherent": self.coherent}
        return {name: value for name, value in given.items() if value is not None} | dict(self.settings)


class CorruptedCase(msgspec.Struct, frozen=True):
    """One case: the file written, its IoU with the clean labels (mean over foreground classes), its label error."""

    id: str
    file: str | None = None
    mean_iou: float | None = None
    label_error: float | None = None
    error: str | None = None


class CorruptionReport(msgspec.Struct, frozen=True):
    """The measured noise: ``class_iou`` pools the voxels of all cases, ``mean_iou`` is its mean over foreground classes.

    ``label_error``: wrong voxels per voxel of true or noisy foreground (evaluation.md, section 2).
    """

    noise: str
    seed: int
    options: dict[str, Any]
    cases: tuple[CorruptedCase, ...]
    class_iou: dict[str, float | None]
    mean_iou: float | None
    label_error: float | None

    @property
    def exit_code(self) -> int:
        """0 all written, 3 some cases failed, 7 every case failed."""
        return choose_exit_code(case.error for case in self.cases)

    def to_json(self) -> str:
        """One JSON object."""
        return msgspec.json.encode(self).decode()


@dataclass
class _Tally:
    """Voxels pooled over cases: per class name the intersection and union, and the counts of the label error."""

    overlap: dict[str, tuple[int, int]]
    error: LabelErrorCounts

    def add(self, counts: NDArray[np.int64], names: Sequence[str], error: LabelErrorCounts) -> None:
        hits, union = np.diagonal(counts), counts.sum(0) + counts.sum(1) - np.diagonal(counts)
        for index, name in enumerate(names[1:], start=1):
            old = self.overlap.get(name, (0, 0))
            self.overlap[name] = (old[0] + int(hits[index]), old[1] + int(union[index]))
        self.error = self.error + error

    def class_iou(self) -> dict[str, float | None]:
        return {name: round(hits / union, 6) if union else None for name, (hits, union) in self.overlap.items()}


def corrupt(
    masks: StrPath | None = None,
    *,
    out: StrPath,
    progress: Callback = ignore_progress,
    **options: Unpack[CorruptKeywords],
) -> CorruptionReport:
    """Write a noisy copy of every mask in ``masks`` into the folder ``out``: same names, formats and headers.

    Options are those of ``CorruptOptions``. ``corruption.json`` with the measured strength, and ``labels.json`` where the classes
    are named, go beside the masks. Raises ``ConfigError``, ``InputError``, ``OutputError``; a case that cannot be read stands in
    the result with its error.

    >>> corrupt("true-masks", out="masks", noise="adele-de", k="1-5").mean_iou  # doctest: +SKIP
    0.6
    """
    chosen = read_keywords(CorruptOptions, options)
    source = Path(masks) if masks is not None else find_masks(Path())
    pairing = list_masks(source)
    table = read_class_table(source)
    settings = chosen.family_options()
    folder = open_folder(Path(out), source=source, overwrite=chosen.overwrite)
    tally = _Tally({}, LabelErrorCounts())
    cases = [CorruptedCase(name, error=str(fault)) for name, fault in pairing.faults]
    for done, case in enumerate(pairing.cases):
        progress(Progress("corrupt", done, len(pairing.cases), case.id))
        cases.append(_try_case(case, folder, table, chosen, settings, tally))
    progress(Progress("corrupt", len(pairing.cases), len(pairing.cases)))
    if table is not None:
        write_class_names(folder, table)
    ious = tally.class_iou()
    report = CorruptionReport(
        noise=chosen.noise,
        seed=chosen.seed,
        options=settings | {"classes": list(chosen.classes), "axis": chosen.axis},
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        class_iou=ious,
        mean_iou=average(ious.values()),
        label_error=drop_infinite(tally.error.error_before),
    )
    write_text(folder / MEASURES, msgspec.json.format(report.to_json()) + "\n")
    return report


def parse_range(text: str | Sequence[int]) -> tuple[int, ...]:
    """``"1-5"`` or ``"2,3,4"`` (or numbers) as a tuple; raises ``ConfigError``.

    >>> parse_range("1-3,5")
    (1, 2, 3, 5)
    """
    if not isinstance(text, str):
        return tuple(int(number) for number in text)
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ConfigError(f"`k` is {text!r}", remedy="write 1-5, or 2,3,4")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def seed_case(seed: int, case_id: str) -> np.random.Generator:
    """The generator of one case: a function of the seed and the id alone."""
    digest = hashlib.sha256(case_id.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _try_case(
    case: Case,
    folder: Path,
    table: ClassTable | None,
    options: CorruptOptions,
    settings: Mapping[str, object],
    tally: _Tally,
) -> CorruptedCase:
    try:
        return _corrupt_case(case, folder, table, options, settings, tally)
    except CaseError as error:
        return CorruptedCase(case.id, error=str(error))


def _corrupt_case(
    case: Case,
    folder: Path,
    table: ClassTable | None,
    options: CorruptOptions,
    settings: Mapping[str, object],
    tally: _Tally,
) -> CorruptedCase:
    assert case.mask is not None  # list_masks lists nothing else
    target = folder / case.mask.name
    if target.exists() and not options.overwrite:
        raise OutputError("exists already", path=target, remedy="pass --overwrite or another --out")
    labels = read_labels(case.mask)
    classes = table or collect_classes([labels.array])
    clean = classes.encode(labels.array, path=case.mask)
    order = tuple(classes.index_of(name) for name in options.classes) or None
    rng = seed_case(options.seed, case.id)
    slices = move_axis(labels.geometry.to_canonical(clean), options.axis)
    damaged = corrupt_labels(slices, options.noise, rng, n_classes=len(classes), order=order, **settings)
    noisy = labels.geometry.from_canonical(restore_axis(damaged, options.axis))
    write_labels(target, classes.decode(noisy).astype(labels.array.dtype), labels.geometry)
    counts = confusion(noisy, clean, len(classes))
    error = label_error(noisy, clean, n_classes=len(classes)).overall
    tally.add(counts, classes.names, error)
    return CorruptedCase(
        id=case.id,
        file=str(target),
        mean_iou=average(drop_infinite(value) for value in iou_scores(counts)[1:]),
        label_error=drop_infinite(error.error_before),
    )
