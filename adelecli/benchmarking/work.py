"""One training of the benchmark, from its description to its result file; runs in this process or in another.

What must hold: a result is a function of what its key is made of; a result file is there whole or not at all; a training that
was stopped goes on where it was; a run's folder is deleted only after its result is written.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from adelecli.benchmarking.dataset import read_indices
from adelecli.benchmarking.memory import read_peak, reset_peak
from adelecli.benchmarking.records import RunScore
from adelecli.benchmarking.scoring import CaseTriple, read_curve, score_labels
from adelecli.errors import ConfigError, InputError
from adelecli.labels.classes import IGNORE, ClassTable
from adelecli.replacement import write_text
from adelecli.runtime.preparation import in_plane_spacing, move_axis
from adelecli.store.collection import open_store
from adelecli.volumes.cases import list_masks
from adelecli.volumes.naming import FILES
from adelecli.volumes.reading import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from adelecli.progress import Callback
    from adelecli.training.trainer import TrainResult
    from adelecli.volumes.geometry import Geometry


@dataclass(frozen=True)
class Task:
    """One training: everything that it needs, in values that travel to another process.

    ``labels``: its masks; ``clean``: the true ones; ``base``: the training whose network fixes the labels first (``cleanlab``).
    """

    key: str
    method: str
    seed: int
    out: Path
    labels: Path
    clean: Path
    images: Path
    val: Path
    spoilt: tuple[str, ...]
    preset: str
    settings: tuple[str, ...]
    slices_per_case: int
    device: str
    base: Task | None = None

    @property
    def result(self) -> Path:
        """Its result file."""
        return self.out / "results" / f"{self.key}.json"

    @property
    def place(self) -> Path:
        """The folder below which it is trained."""
        return self.out / "runs" / self.key


def read_result(task: Task) -> RunScore | None:
    """The result of a task that was done before; ``None`` where there is none or the file is damaged."""
    try:
        return msgspec.json.decode(task.result.read_bytes(), type=RunScore)
    except (OSError, ValueError):  # not there, not JSON, not UTF-8, not such a record
        return None


def perform_unit(tasks: Sequence[Task], announce: Callable[[Task], Callback], *, keep: bool) -> list[RunScore]:
    """Train and score ``tasks`` one after another; ``announce`` gives the callback of each. ``keep`` leaves the runs' folders.

    Tasks that build on one another belong to one unit: folders are deleted at its end.
    """
    scores = [perform_task(task, announce(task)) for task in tasks]
    if not keep:
        for task in tasks:
            for one in (task, task.base):
                if one is not None:
                    shutil.rmtree(one.place, ignore_errors=True)
    return scores


def perform_task(task: Task, progress: Callback) -> RunScore:
    """Train, score and write the result file. Raises what ``train`` raises."""
    reset_peak()
    fixed = None
    if task.base is not None:
        fixed = _fix_masks(task, progress)
    run = _train(task, task.labels if fixed is None else fixed, progress)
    peak = read_peak()
    seconds = [float(record["seconds"] or 0.0) for record in run.history]  # none where a history was lost
    plan = _read_json(run.folder / "plan.json")
    score = RunScore(
        key=task.key,
        method=task.method,
        seed=task.seed,
        classes=tuple(plan["class_names"][1:]),
        steps=_count_steps(run.folder),
        student=read_curve(run.history, "student"),
        teacher=read_curve(run.history, "teacher"),
        onsets=run.onsets,
        seconds=round(sum(seconds), 3),
        seconds_per_epoch=round(sum(seconds) / len(seconds), 3),
        peak_memory_mb=peak,
        labels=_score_corrected(task, run.folder, plan, fixed),
    )
    task.result.parent.mkdir(parents=True, exist_ok=True)
    write_text(task.result, msgspec.json.format(msgspec.json.encode(score).decode()) + "\n")
    return score


def _train(task: Task, masks: Path, progress: Callback) -> TrainResult:
    """Go on with a stopped training, or start one. A folder that cannot go on is replaced."""
    from adelecli.training.trainer import train

    for begun in sorted(path.parent for path in task.place.glob("*/run.json")):
        try:
            return train(resume=begun, device=task.device, progress=progress)
        except (ConfigError, InputError):
            shutil.rmtree(begun)
    return train(
        masks,
        images=task.images,
        clean=task.clean,
        val=task.val,
        out=task.place,
        name=task.method,
        preset=task.preset,
        set=task.settings,
        device=task.device,
        progress=progress,
    )


def _fix_masks(task: Task, progress: Callback) -> Path:
    """The masks that confident learning makes of the noisy ones; trains the network for it unless it is there."""
    from adelecli.training.confident import write_fixed_masks

    assert task.base is not None
    fixed = task.place / "fixed"
    if fixed.exists():
        return fixed / "masks"
    base = task.base
    done = [path.parent for path in base.place.glob("*/state.json") if _read_json(path).get("finished")]
    run = done[0] if done else _train(base, base.labels, progress).folder
    beside = task.place / ".fixed.part"
    shutil.rmtree(beside, ignore_errors=True)
    write_fixed_masks(run, beside / "masks", device=task.device, progress=progress)
    for name in FILES:
        source = base.labels.parent / name
        if source.is_file():
            shutil.copyfile(source, beside / name)
    beside.replace(fixed)
    return fixed / "masks"


def _read_json(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))


def _count_steps(run: Path) -> int:
    from adelecli.training.checkpoint import read_checkpoint

    return int(read_checkpoint(run / "checkpoint.safetensors")[1]["step"])


def _score_corrected(task: Task, run: Path, plan: dict[str, Any], fixed: Path | None) -> Any:
    """The label scores of a run that corrected its labels; ``None`` for one that did not."""
    if fixed is None and not (run / "labels.zarr").exists():
        return None
    return score_labels(_list_triples(task, run, plan, fixed), plan["class_names"])


def _list_triples(task: Task, run: Path, plan: dict[str, Any], fixed: Path | None) -> Iterator[CaseTriple]:
    """The training cases with their noisy, true and corrected labels, slices first."""
    from adelecli.training.dataset import choose_spread, find_place

    axis = plan["grid"]["axis"]
    table = ClassTable(tuple(plan["class_ids"]), tuple(plan["class_names"]), plan["ignore"])
    noisy, true = ({case.id: case.mask for case in list_masks(place).cases} for place in (task.labels, task.clean))
    store = open_store(run / "labels.zarr") if fixed is None else None
    held_out = set(plan["val_cases"])
    learnt = [entry["id"] for entry in plan["cases"] if entry["id"] not in held_out]
    for number, case in enumerate(learnt):
        source, truth = noisy[case], true[case]
        assert source is not None
        assert truth is not None
        geometry = read_labels(source).geometry
        before = read_indices(source, table, axis)
        if store is None:
            assert fixed is not None
            after = read_indices(fixed / source.name, table, axis)
        else:
            after = move_axis(geometry.to_canonical(table.encode(store.read(case, "corrected"))), axis)
        yield CaseTriple(
            id=case,
            noisy=before,
            true=read_indices(truth, table, axis),
            corrected=after,
            spacing=_order_spacing(geometry, axis),
            rows=choose_spread(
                ((before > 0) & (before != IGNORE)).any((1, 2)), task.slices_per_case, find_place(number)
            ),
            spoilt=case in task.spoilt,
        )


def _order_spacing(geometry: Geometry, axis: Any) -> tuple[float, float, float]:
    """Millimetres between slices, rows and columns of the slices along ``axis``."""
    spacing = geometry.canonical_spacing
    row, column = in_plane_spacing(spacing, axis)
    return spacing["zyx".index(axis)], row, column
