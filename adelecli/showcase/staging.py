"""``demo``: the whole programme on a data set whose truth is known, in minutes on two CPU cores.

Phantom -> annotation noise -> three trainings with equal steps (plain, ADELE, plain on the true labels) -> export -> correct ->
evaluate -> pictures. Every stage is the public command, so what the demo shows is what a user gets. What must hold: the noise
is drawn before any training and from the seed alone; unseen patients are scored against true labels; all trainings share
network, optimiser, seed and steps; no seed, case, slice or epoch is chosen by its result. Whatever comes out is shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import msgspec

from adelecli.errors import ConfigError, OutputError
from adelecli.importing import import_extra
from adelecli.keywords import read_keywords
from adelecli.progress import Callback, Progress, ignore_progress
from adelecli.replacement import refuse_address
from adelecli.showcase.datasets import DATA_SETS, find_data_set, write_cases, write_data
from adelecli.showcase.exhibition import draw_pictures
from adelecli.showcase.results import DemoResult, compare_methods, list_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from pathlib import Path

    from adelecli.pipeline.corruption import CorruptionReport
    from adelecli.pipeline.scores import Evaluation
    from adelecli.training.trainer import TrainResult

ORGANS = DATA_SETS["chest"].class_names[1:]
STAGES = ("phantom", "corrupt", "baseline", "adele", "clean", "export", "correct", "evaluate", "pictures")
TRAININGS = {"baseline": "noisy", "adele": "noisy", "clean": "masks"}
"""Name of each training -> the folder of its labels. Only ``adele`` corrects; ``clean`` shows what there is to be gained."""
SETTINGS = ("network.width=8", "optimiser.batch_size=4", "optimiser.lr=0.003", "noise.steps=300")
"""Small and quick, for all trainings alike: 240 slices must be enough, and the heart's size must not hide the other organs."""
Product = TypeVar("Product")


class DemoKeywords(TypedDict, total=False):
    """Keywords of ``demo``."""

    device: str
    cases: int
    test_cases: int
    epochs: int
    only_data: str | None


@dataclass(frozen=True)
class DemoOptions:
    """Options of ``demo``: patients to train on and to test on, epochs of each training, device as everywhere.

    ``only_data`` names a data set (``DATA_SETS``) that is made, spoilt and left to the user; nothing is trained.
    """

    device: str = "auto"
    cases: int = 12
    test_cases: int = 4
    epochs: int = 18
    only_data: str | None = None

    def __post_init__(self) -> None:
        if self.only_data is not None:
            find_data_set(self.only_data)
        for name, least in (("cases", 2), ("test_cases", 1), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` is {getattr(self, name)}", remedy=f"choose {least} or more")


@dataclass
class _Stagehand:
    """Keeps the clock and says which stage is on."""

    progress: Callback
    seconds: dict[str, float] = field(default_factory=dict)

    def play(self, stage: str, work: Callable[[Callback], Product]) -> Product:
        self.progress(Progress("demo", STAGES.index(stage), len(STAGES), detail={"step": stage}))
        started = time.monotonic()
        product = work(self._tell(stage))
        self.seconds[stage] = round(time.monotonic() - started, 1)
        return product

    def _tell(self, stage: str) -> Callback:
        # Three trainings run in one demo: their bars must not be taken for each other's.
        prefix = f"{stage}: " if stage in TRAININGS else ""
        return lambda event: self.progress(replace(event, stage=prefix + event.stage))


def demo(
    out: str | PathLike[str] = "adele-demo",
    *,
    seed: int = 0,
    progress: Callback = ignore_progress,
    **options: Unpack[DemoKeywords],
) -> DemoResult:
    """Make a data set, spoil its labels, train without and with ADELE, correct the labels, and measure the gain.

    Everything is written below ``out``, which must not exist or be empty (``OutputError``); options are those of
    ``DemoOptions`` (``ConfigError`` for others). With ``only_data`` the folder holds ``images/``, ``masks/`` (spoilt) and
    ``truth/``, nothing is trained, and the result has no rows; torch is not needed. Raises what ``train``, ``export``,
    ``correct`` and ``evaluate`` raise.

    >>> demo("adele-demo", epochs=8).labels[0].error_after  # doctest: +SKIP
    0.21
    """
    chosen = _read_options(options)
    if not chosen.only_data:
        for home in ("trainer", "exporter"):  # before a folder is left that refuses the next try
            import_extra(f"adelecli.training.{home}")
    folder = _open_folder(refuse_address(out))
    stage = _Stagehand(progress)
    if chosen.only_data:
        return _leave_data(folder, chosen.only_data, chosen.cases, seed, stage)
    started = time.monotonic()
    ids = [f"case_{index:03d}" for index in range(chosen.cases + chosen.test_cases)]
    noise = _make_data(folder, ids, chosen, seed, stage)
    runs = {name: _train(folder, name, chosen, seed, stage) for name in TRAININGS}
    labels, exported = _clean_labels(folder, runs["adele"].folder, ids, chosen, stage)
    histories = {name: run.history for name, run in runs.items()}
    pictures = stage.play("pictures", lambda _: draw_pictures(folder, histories, ids[: chosen.cases], labels))
    stage.seconds["total"] = round(time.monotonic() - started, 1)
    result = DemoResult(
        folder=str(folder),
        seed=seed,
        train_cases=chosen.cases,
        test_cases=chosen.test_cases,
        epochs=chosen.epochs,
        noise=_describe_noise(noise),
        labels=list_labels(labels, runs["adele"].onsets),
        methods=compare_methods(histories, ORGANS),
        exported_dice=exported.dice,
        seconds=stage.seconds,
        files={name: path.relative_to(folder).as_posix() for name, path in _list_files(folder, runs).items()},
        pictures=tuple(picture.relative_to(folder).as_posix() for picture in pictures),
    )
    _write_results(folder / "results.json", result)
    progress(Progress("demo", len(STAGES), len(STAGES)))
    return result


def _leave_data(folder: Path, kind: str, cases: int, seed: int, stage: _Stagehand) -> DemoResult:
    """Make the data set and stop."""
    noise = stage.play("phantom", lambda tell: write_data(folder, kind, cases=cases, seed=seed, progress=tell))
    stage.progress(Progress("demo", len(STAGES), len(STAGES)))
    return DemoResult(
        folder=str(folder),
        seed=seed,
        train_cases=cases,
        test_cases=0,
        epochs=0,
        noise=_describe_noise(noise),
        labels=(),
        methods=(),
        exported_dice=None,
        seconds=stage.seconds,
        files={"images": "images", "truth": "truth", "noisy": "masks"},
        pictures=(),
    )


def _describe_noise(noise: CorruptionReport) -> dict[str, object]:
    return {"family": noise.noise, "k": "1-5", "mean_iou": noise.mean_iou, "label_error": noise.label_error}


def _list_files(folder: Path, runs: Mapping[str, TrainResult]) -> dict[str, Path]:
    products = {
        "images": "images",
        "truth": "masks",
        "noisy": "noisy",
        "model": "weights/demo.onnx",
        "cleaned": "cleaned.zarr",
    }
    return {name: folder / place for name, place in products.items()} | {name: run.folder for name, run in runs.items()}


def _read_options(options: DemoKeywords) -> DemoOptions:
    chosen = read_keywords(DemoOptions, options)
    given = {name for name, value in options.items() if value is not None}
    idle = given & {"device", "test_cases", "epochs"} if chosen.only_data else ()
    if idle:
        raise ConfigError(f"`{min(idle)}` says nothing about data alone", remedy="leave it out, or `only_data`")
    return chosen


def _open_folder(folder: Path) -> Path:
    """Make the folder; refuse one that holds something, because the demo would mix with it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", path=folder, remedy="name another --out") from None
    if occupied:
        raise OutputError("exists already and is not empty", path=folder, remedy="remove it, or name another --out")
    return folder


def _make_data(folder: Path, ids: list[str], chosen: DemoOptions, seed: int, stage: _Stagehand) -> CorruptionReport:
    """``images/``, ``masks/`` (the truth), ``noisy/`` and the list of unseen patients."""
    from adelecli.pipeline.corruption import corrupt

    stage.play("phantom", lambda tell: write_cases(folder, "chest", cases=len(ids), seed=seed, progress=tell))
    (folder / "unseen.txt").write_text("".join(f"{name}\n" for name in ids[chosen.cases :]), encoding="utf-8")
    return stage.play(
        "corrupt",
        lambda tell: corrupt(
            folder / "masks",
            out=folder / "noisy",
            noise="adele-de",
            k="1-5",
            classes=DATA_SETS["chest"].noise_order,
            seed=seed,
            progress=tell,
        ),
    )


def _train(folder: Path, name: str, chosen: DemoOptions, seed: int, stage: _Stagehand) -> TrainResult:
    """One of ``TRAININGS``: everything equal but the labels and the method. The true masks are passed for measuring only."""
    from adelecli.training.trainer import train

    return stage.play(
        name,
        lambda tell: train(
            folder / TRAININGS[name],
            images=folder / "images",
            clean=folder / "masks",
            val=folder / "unseen.txt",
            out=folder / "runs",
            name=name,
            baseline=name != "adele",
            epochs=chosen.epochs,
            set=SETTINGS,
            seed=seed,
            device=chosen.device,
            progress=tell,
        ),
    )


def _clean_labels(
    folder: Path, run: Path, ids: list[str], chosen: DemoOptions, stage: _Stagehand
) -> tuple[Evaluation, Evaluation]:
    """Export, correct the training labels, segment the unseen patients; both compared with the truth."""
    from adelecli.pipeline.comparison import evaluate
    from adelecli.pipeline.correction import correct
    from adelecli.pipeline.prediction import predict
    from adelecli.training.exporter import export

    model, cleaned, unseen = folder / "weights" / "demo.onnx", folder / "cleaned.zarr", folder / "unseen.zarr"
    images, training, testing = folder / "images", ids[: chosen.cases], ids[chosen.cases :]
    stage.play("export", lambda tell: export(run, out=model, name="demo", progress=tell))

    def work_through(tell: Callback) -> None:
        # max_change=1: the noise is known to be everywhere and strong, nothing is to be held back for review here.
        correct(
            folder / "noisy",
            images=images,
            out=cleaned,
            model=model,
            device=chosen.device,
            cases=training,
            max_change=1.0,
            progress=tell,
        )
        predict(images, out=unseen, model=model, device=chosen.device, cases=testing, progress=tell)

    stage.play("correct", work_through)
    return stage.play(
        "evaluate",
        lambda tell: (
            evaluate(cleaned, folder / "masks", cases=training, progress=tell),
            evaluate(unseen, folder / "masks", cases=testing, progress=tell),
        ),
    )


def _write_results(path: Path, result: DemoResult) -> None:
    try:
        path.write_bytes(msgspec.json.format(result.to_json().encode()) + b"\n")
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", path=path) from None
