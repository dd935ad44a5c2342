"""Which trainings a benchmark consists of, and the key under which the result of each is kept.

What must hold: the key is made of everything that decides a result (labels, settings, seed, data, noise, held-out cases, kind of device,
the package's own source) and of nothing else, so that a result is found again exactly when it would come out the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from adelecli.benchmarking.methods import METHODS, Method
from adelecli.benchmarking.work import Task
from adelecli.training.resolving import format_settings, resolve_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adelecli.benchmarking.dataset import DataSet, Stage
    from adelecli.benchmarking.options import BenchOptions
    from adelecli.training.settings import Settings

PACKAGE = Path(__file__).parents[1]
DECIDING = (
    "dynamics.py", "labels", "runtime", "training", "volumes", "pipeline/corruption.py",
    "benchmarking/dataset.py", "benchmarking/scoring.py", "benchmarking/work.py",
)  # fmt: skip
"""What a result depends on in the package; a change anywhere else leaves finished results valid."""

EQUAL = (
    "optimiser.batch_size", "data.slices_per_epoch", "data.empty_share", "data.val_slices", "data.val_share",
    "augment.brightness", "augment.contrast", "augment.noise", "augment.flip", "augment.rotate", "augment.scale", "augment.shift",
)  # fmt: skip
"""Settings that a preset may not change here: they decide the steps, what is held out, and what is shown."""


def hash_values(values: object) -> str:
    """16 hexadecimal digits over the JSON form of ``values``."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@cache
def hash_source() -> str:
    """One hash over the source files that decide a result."""
    digest = hashlib.sha256()
    for name in DECIDING:
        place = PACKAGE / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def resolve_common(options: BenchOptions, seed: int) -> Settings:
    """The settings that all methods share: the default preset's with the user's own, ``epochs``, slices and seed."""
    flags: dict[str, object] = {"epochs": options.epochs, "seed": seed, "patience": 0}
    if options.slices_per_case is not None:
        flags["data"] = {"slices_per_case": options.slices_per_case}
    return resolve_settings(overrides=tuple(options.set), flags=flags)


def list_overrides(method: Method, options: BenchOptions, common: Settings, wrong_share: float) -> tuple[str, ...]:
    """The ``key=value`` settings of a method, each outranking those before it: the user's, the common ones, its own.

    ``wrong_share``: the true share of wrong pixels, which co-teaching is told, as its authors tell it (arXiv 1804.06872, section 4).
    """
    told = (f"coteaching.forget={wrong_share}",) if "coteaching.enabled=true" in method.settings else ()
    shared = [f"{name}={getattr(common, name)}" for name in ("epochs", "seed", "patience")]
    shared += [f"{name}={_look_up(common, name)}" for name in (*EQUAL, "data.slices_per_case")]
    return (*told, *options.set, *shared, *method.settings)


def _look_up(settings: Settings, name: str) -> object:
    room, _, key = name.partition(".")
    return getattr(getattr(settings, room), key)


def plan_tasks(
    data: DataSet, stage: Stage, options: BenchOptions, common: Settings, place: tuple[Path, str]
) -> dict[str, Task]:
    """The training of every method for one seed by the method's name, whether it is asked for or not.

    ``place``: the output folder and the kind of device.
    """
    chosen = (options, common)
    trained = [method for method in METHODS.values() if method.source is None]
    return {method.name: _plan_task(method, data, stage, chosen, place) for method in trained}


def _plan_task(
    method: Method, data: DataSet, stage: Stage, chosen: tuple[BenchOptions, Settings], place: tuple[Path, str]
) -> Task:
    (options, common), (out, kind) = chosen, place
    overrides = list_overrides(method, options, common, stage.measured["wrong_share"] or 0.0)
    noise = options.describe_noise() if method.labels != "clean" else {}
    resolved = format_settings(resolve_settings(method.preset, overrides=overrides))
    held_out = stage.val.read_text(encoding="utf-8")
    values = [method.name, method.labels, resolved, data.fingerprint, noise, held_out, kind, hash_source()]
    task = Task(
        key=hash_values(values),
        method=method.name,
        seed=common.seed,
        out=out,
        labels=data.masks if method.labels == "clean" else stage.masks,
        clean=data.masks,
        images=data.images,
        val=stage.val,
        spoilt=stage.spoilt if method.labels != "clean" else (),
        preset=method.preset,
        settings=overrides,
        slices_per_case=common.data.slices_per_case,
        device=options.device,
    )
    if method.labels != "fixed":
        return task
    return replace(task, base=_plan_task(METHODS["noisy"], data, stage, chosen, place))


def group_units(tasks: Sequence[Task]) -> list[tuple[Task, ...]]:
    """The trainings in units that run one after another: a training and those that build on its network belong together."""
    builders: dict[str, list[Task]] = {}
    for task in tasks:
        if task.base is not None:
            builders.setdefault(task.base.key, []).append(task)
    first = [(task, *builders.pop(task.key, [])) for task in tasks if task.base is None]
    return [*first, *((task,) for waiting in builders.values() for task in waiting)]
