"""The data of a benchmark: which cases, which are held out, and the noisy copy of the training masks for each seed.

What must hold: noise is drawn before any training, from the seed and the case alone, in training masks only; held-out masks stay
clean; the noisy folder is made whole or not at all, and the same call finds it again byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adelecli.benchmarking.options import NO_NOISE
from adelecli.errors import CaseError, ConfigError, InputError
from adelecli.labels.noise.ceiling import measure_ceiling
from adelecli.labels.noise.registry import corrupt_labels
from adelecli.labels.overlap import LabelErrorCounts, confusion, iou_scores, label_error
from adelecli.pipeline.comparison import collect_classes
from adelecli.pipeline.corruption import corrupt, seed_case
from adelecli.pipeline.scores import average, drop_infinite
from adelecli.progress import Progress
from adelecli.replacement import write_text
from adelecli.runtime.preparation import move_axis
from adelecli.training.survey import split_cases
from adelecli.volumes.cases import find_masks, pair_cases
from adelecli.volumes.hashing import hash_file
from adelecli.volumes.naming import FILES, read_class_table
from adelecli.volumes.reading import read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from adelecli.benchmarking.options import BenchOptions
    from adelecli.labels.classes import ClassTable, IndexArray
    from adelecli.labels.noise.ceiling import Ceiling
    from adelecli.progress import Callback
    from adelecli.training.settings import Settings
    from adelecli.volumes.cases import Case

MEASURES = "measures.json"
CEILING_CASES = 8


@dataclass(frozen=True)
class DataSet:
    """Cases with clean masks, where they lie, their classes, and one sha256 over all of their files."""

    cases: tuple[Case, ...]
    masks: Path
    images: Path
    table: ClassTable
    fingerprint: str


@dataclass(frozen=True)
class Stage:
    """One seed's data: ``masks`` (noisy training masks, clean held-out ones), the list ``val``, which cases got noise, its strength."""

    masks: Path
    val: Path
    training: tuple[str, ...]
    spoilt: tuple[str, ...]
    measured: dict[str, float | None]


def open_data(masks: Path | None, images: Path | None) -> DataSet:
    """The clean data set. Raises ``InputError`` where nothing pairs or a case has a fault: the truth must be whole."""
    folder = masks if masks is not None else find_masks(Path())
    pairing = pair_cases(folder, images)
    if pairing.faults:
        raise InputError(f"case {pairing.faults[0][0]} cannot be used ({pairing.faults[0][1]})", path=folder)
    digest, first = hashlib.sha256(), pairing.cases[0]
    assert first.mask is not None
    for case in pairing.cases:
        for path in (*case.images, case.mask):
            assert path is not None
            digest.update(f"{case.id} {hash_file(path)}\n".encode())
    place = first.mask.parent
    table = read_class_table(place) or collect_classes([read_labels(_mask(case)).array for case in pairing.cases])
    return DataSet(pairing.cases, place, first.images[0].parent, table, digest.hexdigest())


def _mask(case: Case) -> Path:
    assert case.mask is not None
    return case.mask


def make_stage(data: DataSet, folder: Path, options: BenchOptions, settings: Settings, progress: Callback) -> Stage:
    """The data of the seed of ``settings`` in a folder below ``folder``; made once. Raises ``ConfigError`` where none is held out."""
    listed = Path(options.val) if options.val is not None else None
    seed = settings.seed
    val = split_cases([case.id for case in data.cases], settings.data, seed, listed)
    if not val:
        raise ConfigError(
            "no case is held out, so nothing can be measured", remedy="pass --val, or raise data.val_share"
        )
    training = tuple(case.id for case in data.cases if case.id not in val)
    spoilt = choose_spoilt(training, options, seed)
    described = [data.fingerprint, options.describe_noise(), seed, val]
    place = folder / hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    if not (place / MEASURES).exists():
        _build(place, data, (training, spoilt, val), (options, seed), progress)
    measured = json.loads((place / MEASURES).read_text(encoding="utf-8"))
    return Stage(place / "masks", place / "val.txt", training, spoilt, measured)


def choose_spoilt(training: Sequence[str], options: BenchOptions, seed: int) -> tuple[str, ...]:
    """The training cases that get noise: a seeded ``noisy_share`` of them, sorted."""
    if options.noise == NO_NOISE:
        return ()
    order = np.random.default_rng((seed, 5)).permutation(len(training))
    count = round(options.noisy_share * len(training))
    return tuple(sorted(training[i] for i in order[:count]))


def _build(
    place: Path,
    data: DataSet,
    parts: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    drawn: tuple[BenchOptions, int],
    progress: Callback,
) -> None:
    """Write beside, then rename: a folder that is there is whole."""
    (training, spoilt, val), (options, seed) = parts, drawn
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "masks").mkdir(parents=True)
    for name in FILES:
        found = next((where / name for where in (data.masks, data.masks.parent) if (where / name).is_file()), None)
        if found is not None:
            shutil.copyfile(found, beside / name)
    chosen = beside / "chosen"
    chosen.mkdir()
    for case in data.cases:
        shutil.copyfile(_mask(case), (chosen if case.id in spoilt else beside / "masks") / _mask(case).name)
    noise = options.corruption(seed)
    if spoilt and noise is not None:
        keywords: dict[str, Any] = {name: getattr(noise, name) for name in noise.__dataclass_fields__}
        report = corrupt(chosen, out=beside / "noisy", progress=progress, **keywords)
        failed = next((case for case in report.cases if case.error), None)
        if failed is not None:
            raise CaseError(f"case {failed.id} cannot be made noisy ({failed.error})")
        for name in spoilt:
            file = next(_mask(case).name for case in data.cases if case.id == name)
            shutil.move(beside / "noisy" / file, beside / "masks" / file)
        shutil.rmtree(beside / "noisy")
    shutil.rmtree(chosen)
    write_text(beside / "val.txt", "".join(f"{name}\n" for name in val))
    write_text(beside / MEASURES, json.dumps(measure_noise(data, beside / "masks", training, options.axis), indent=1))
    shutil.rmtree(place, ignore_errors=True)
    beside.replace(place)


def read_indices(path: Path, table: ClassTable, axis: Any) -> IndexArray:
    """Class indices ``[S, H, W]`` of a mask, slices along the canonical ``axis``. Raises ``CaseError``."""
    labels = read_labels(path)
    return move_axis(labels.geometry.to_canonical(table.encode(labels.array, path=path)), axis)


def measure_noise(data: DataSet, noisy: Path, training: Sequence[str], axis: str) -> dict[str, float | None]:
    """How noisy the training masks are, pooled over their voxels.

    ``label_iou``: mean over the foreground classes; ``label_error``: wrong voxels per voxel of the union of noisy and true
    foreground; ``wrong_share``: wrong voxels per voxel of the slices with noisy foreground.
    """
    classes = len(data.table)
    counts: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
    error, wrong, seen = LabelErrorCounts(), 0, 0
    for case in (case for case in data.cases if case.id in training):
        before = read_indices(noisy / _mask(case).name, data.table, axis)
        true = read_indices(_mask(case), data.table, axis)
        counts += confusion(before, true, classes)
        error += label_error(before, true, n_classes=classes).overall
        held = (before > 0).any((1, 2))
        wrong, seen = wrong + int((before != true)[held].sum()), seen + before[held].size
    return {
        "label_iou": average(drop_infinite(iou) for iou in iou_scores(counts)[1:]),
        "label_error": drop_infinite(error.error_before),
        "wrong_share": round(wrong / seen, 6) if seen else 0.0,
    }


def pool_ceiling(
    data: DataSet, training: Sequence[str], options: BenchOptions, progress: Callback
) -> tuple[Ceiling, int] | None:
    """The noise's ceiling on at most ``CEILING_CASES`` training cases, evenly spread, and their number; nothing without noise.

    Where only a share of the cases gets noise, a draw is clean with the complementary probability: nobody knows which are.
    """
    noise = options.corruption(0)
    if noise is None:
        return None
    settings, order = noise.family_options(), tuple(data.table.index_of(name) for name in noise.classes) or None

    def draw(labels: IndexArray, rng: np.random.Generator) -> IndexArray:
        if rng.random() >= options.noisy_share:
            return labels
        return corrupt_labels(labels, noise.noise, rng, n_classes=len(data.table), order=order, **settings)

    known = [case for case in data.cases if case.id in set(training)]
    places = np.unique(np.linspace(0, len(known) - 1, min(CEILING_CASES, len(known))).round().astype(int))
    pooled: Ceiling | None = None
    for done, place in enumerate(places, 1):
        case = known[place]
        labels = read_indices(_mask(case), data.table, options.axis)
        one = measure_ceiling(labels, draw, seed_case(1, case.id), n_classes=len(data.table))
        pooled = one if pooled is None else pooled + one
        progress(Progress("ceiling", done, len(places), case.id))
    return None if pooled is None else (pooled, len(places))
