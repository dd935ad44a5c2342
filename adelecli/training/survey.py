"""What the data are, decided once: slice axis, in-plane spacing, intensity policy, classes, their shares, the validation split.

Every decision here ends in the run folder and travels in the model's contract, because a model is only valid for inputs that
are prepared in the same way. Each case is read once; a case that cannot be used is left out with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from adelecli.errors import CaseError, ConfigError, InputError
from adelecli.intake.formats import read_image, read_labels
from adelecli.labels.classes import IGNORE, ClassTable
from adelecli.progress import Progress
from adelecli.runtime.contract import Grid, Intensity
from adelecli.runtime.preparation import in_plane_spacing, plan_size
from adelecli.volumes.caselists import read_case_list
from adelecli.volumes.reading import check_finite, check_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from adelecli.progress import Callback
    from adelecli.training.settings import DataSettings
    from adelecli.volumes.cases import Case

AXES = "zyx"
SAMPLE = 20_000  # voxels kept of each case: enough for percentiles at 0.5 %, small enough for thousands of cases


@dataclass(frozen=True)
class CaseFacts:
    """A usable case: its files, its canonical shape ``(Z, Y, X)`` and spacing in mm."""

    case: Case
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Sample:
    """What decisions are made from: label ids of a case, its intensities inside labels, the 5 % quantile per channel."""

    label_ids: frozenset[int]
    inside: tuple[NDArray[np.float32], ...]
    lows: tuple[float, ...]
    integral: bool


@dataclass(frozen=True)
class Survey:
    """The usable cases, why the others are not, and what was decided for all of them."""

    facts: tuple[CaseFacts, ...]
    faults: tuple[tuple[str, str], ...]
    table: ClassTable
    grid: Grid
    channels: tuple[Intensity, ...]

    def slice_shape(self, facts: CaseFacts) -> tuple[int, int, int]:
        """``(slices, height, width)`` of a case on the network's grid."""
        axis = AXES.index(self.grid.axis)
        height, width = (size for i, size in enumerate(facts.shape) if i != axis)
        planned = plan_size(height, width, in_plane_spacing(facts.spacing, self.grid.axis), self.grid)
        return (facts.shape[axis], *planned)


def survey_cases(
    cases: Sequence[Case],
    settings: DataSettings,
    table: ClassTable | None,
    modality: Sequence[str] | None,
    progress: Callback,
) -> Survey:
    """Read every case and decide; see the module. Raises ``InputError`` where no case is usable."""
    facts: list[CaseFacts] = []
    samples: list[Sample] = []
    faults: list[tuple[str, str]] = []
    for done, case in enumerate(cases, 1):
        try:
            fact, sample = _look_at(case, table, settings)
            facts.append(fact)
            samples.append(sample)
        except CaseError as error:
            faults.append((case.id, str(error)))
            progress(Progress("survey", done, len(cases), case.id, notice=f"left out: {error}"))
        progress(Progress("survey", done, len(cases), case.id))
    if not facts:
        raise InputError(f"no usable case; the first: {faults[0][1]}" if faults else "no usable case")
    _check_channels(facts, samples)
    survey = Survey(
        facts=tuple(facts),
        faults=tuple(faults),
        table=table or _derive_table(samples, settings),
        grid=decide_grid(facts, settings),
        channels=decide_intensity(samples, settings, modality),
    )
    return replace(survey, grid=msgspec.structs.replace(survey.grid, canvas=find_canvas(survey)))


def find_canvas(survey: Survey) -> tuple[int, int]:
    """The size to which all slices are padded: the largest of them on the network's grid (rows, columns)."""
    shapes = [survey.slice_shape(facts) for facts in survey.facts]
    return max(shape[1] for shape in shapes), max(shape[2] for shape in shapes)


def _look_at(case: Case, table: ClassTable | None, settings: DataSettings) -> tuple[CaseFacts, Sample]:
    assert case.mask is not None
    volume, labels = read_image(case), read_labels(case.mask, onto=case.images[0])
    check_pair(volume.geometry, labels.geometry, case)
    check_finite(volume.array, path=case.images[0])
    if table is not None:
        where = "labels.json beside the masks, or with all others in" if settings.classes is None else "the setting"
        table.encode(labels.array, path=case.mask, remedy=f"relabel it, or name it in {where} `data.classes`")
    canonical = volume.geometry.to_canonical(volume.array)
    ids = np.unique(labels.array)
    ignore = table.ignore if table is not None else IGNORE if settings.ignore is None else settings.ignore
    inside = labels.array > 0
    if ignore is not None:
        inside &= labels.array != ignore
    channels = [channel.reshape(-1) for channel in volume.array]
    picked = np.flatnonzero(inside.reshape(-1))
    picked = picked[:: max(1, len(picked) // SAMPLE)]
    step = max(1, channels[0].size // SAMPLE)
    fact = CaseFacts(case, canonical.shape[1:], volume.geometry.canonical_spacing)
    return fact, Sample(
        label_ids=frozenset(int(i) for i in ids),
        inside=tuple(np.asarray(channel[picked], dtype=np.float32) for channel in channels),
        lows=tuple(float(np.percentile(channel[::step], 5)) for channel in channels),
        integral=bool(np.issubdtype(volume.array.dtype, np.integer)),
    )


def _check_channels(facts: Sequence[CaseFacts], samples: Sequence[Sample]) -> None:
    """Files for channels, colours of a picture and the fourth axis of a volume are counted alike."""
    counts = [len(sample.inside) for sample in samples]
    usual = Counter(counts).most_common(1)[0][0]
    for fact, count in zip(facts, counts, strict=True):
        if count != usual:
            raise InputError(
                f"has {count} channel(s) where other cases have {usual}",
                path=fact.case.images[0],
                remedy="give every case the same channels, or leave it out",
            )


def decide_grid(facts: Sequence[CaseFacts], settings: DataSettings) -> Grid:
    """Slice axis (the coarsest; ties go to z) and in-plane spacing (native where all cases agree within 5 %)."""
    spacing = np.median([f.spacing for f in facts], axis=0)
    axis = settings.axis
    if axis == "auto":
        coarsest = int(np.argmax(spacing))
        axis = AXES[coarsest if spacing[coarsest] > 1.05 * spacing[0] else 0]  # type: ignore[assignment]
    assert axis != "auto"
    planes = np.array([in_plane_spacing(f.spacing, axis) for f in facts])
    common = settings.spacing
    if common is None and (planes.max(0) > 1.05 * planes.min(0)).any():
        row, column = np.median(planes, axis=0)
        common = (round(float(row), 4), round(float(column), 4))
    return Grid(axis=axis, spacing=common, max_size=settings.max_size)


def decide_intensity(
    samples: Sequence[Sample], settings: DataSettings, modality: Sequence[str] | None
) -> tuple[Intensity, ...]:
    """One policy per channel: a fixed window from the labelled voxels for CT, per-volume percentiles otherwise.

    CT is what the data set says it is; where it says nothing, integer images whose 5 % quantile lies below -200 in nine of
    ten cases (air in Hounsfield units). The window is the foreground's 0.5 to 99.5 % range, as nnU-Net does for CT.
    """
    channels: list[Intensity] = []
    for index in range(len(samples[0].inside)):
        named_ct = modality is not None and index < len(modality) and modality[index].upper() == "CT"
        looks_ct = np.mean([f.integral and f.lows[index] < -200 for f in samples]) >= 0.9
        fixed = settings.intensity == "fixed" or (settings.intensity == "auto" and (named_ct or bool(looks_ct)))
        values = np.concatenate([f.inside[index] for f in samples])
        if fixed and values.size:
            low, high = (float(v) for v in np.percentile(values, [0.5, 99.5]))
            clipped = values.clip(low, high)
            channels.append(
                Intensity(
                    kind="fixed",
                    clip=(low, high),
                    percentiles=(0.5, 99.5),
                    mean=float(clipped.mean()),
                    std=max(float(clipped.std()), 1e-6),
                )
            )
        else:
            channels.append(Intensity(kind="volume", clip=None, percentiles=(0.5, 99.5), mean=0.0, std=1.0))
    return tuple(channels)


def _derive_table(samples: Sequence[Sample], settings: DataSettings) -> ClassTable:
    ids = frozenset[int]().union(*(s.label_ids for s in samples))
    found = sorted(ids - {0, settings.ignore})
    if not found and settings.ignore in ids:  # black and white pictures
        fact = f"the masks hold background and {settings.ignore} only, which means not annotated"
        table = f'{{"0": "background", "{settings.ignore}": "lesion"}}'
        raise InputError(fact, remedy=f"if it is a class, name it in labels.json beside the masks: {table}")
    if not found:
        raise InputError("the masks hold background only", remedy="nothing can be learnt from them; name other masks")
    names = ("background", *(f"class_{i}" for i in found))
    return ClassTable(ids=(0, *found), names=names, ignore=settings.ignore)


def split_cases(
    ids: Iterable[str],
    settings: DataSettings,
    seed: int,
    listed: Path | None,
    trusted: Iterable[str] = (),
) -> tuple[str, ...]:
    """The validation cases: those listed in a file (one id a line), else a seeded share of the patients.

    No patient with a ``trusted`` case is among that share: right labels are there to learn from. Raises ``ConfigError`` for an
    unreadable list, an id that is not there or is trusted, or a pattern that is no regular expression.
    """
    known, kept = sorted(ids), frozenset(trusted)
    if listed is not None:
        return _listed_cases(known, listed, kept)
    try:
        pattern = re.compile(settings.patient) if settings.patient else None
    except re.error as error:
        raise ConfigError(f"data.patient {settings.patient!r} is no regular expression ({error})") from None
    patients: dict[str, list[str]] = {}
    for case in known:
        match = pattern.match(case) if pattern else None
        patients.setdefault(match.group(1) if match and match.groups() else case, []).append(case)
    order = np.random.default_rng((seed, 2)).permutation(len(patients))
    count = min(round(len(patients) * settings.val_share), len(patients) - 1)
    names = sorted(patients)
    drawn = [names[i] for i in order if kept.isdisjoint(patients[names[i]])][:count]
    return tuple(sorted(case for name in drawn for case in patients[name]))


def _listed_cases(known: Sequence[str], listed: Path, trusted: frozenset[str]) -> tuple[str, ...]:
    wanted = read_case_list(listed, known, "validation")
    both = sorted(trusted & set(wanted))
    if both:
        raise ConfigError(
            f"names {both[0]!r}, which is a trusted case", path=listed, remedy="leave it in one of the lists"
        )
    if set(wanted) == set(known):
        raise ConfigError("leaves no case to train on", path=listed)
    return wanted
