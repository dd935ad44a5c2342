"""``train``: from folders of images and noisy masks to a run folder.

The order is that of the design: pair, survey, decide, cache, loop, correct once more, tidy up. What was decided stands in the run
folder before the first step is taken, so that a run that is stopped can be resumed from the folder alone.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec
import torch

from adelecli.errors import ConfigError, DeviceError, InputError
from adelecli.keywords import read_keywords
from adelecli.progress import Callback, ignore_progress
from adelecli.training import runfolder
from adelecli.training.caching import write_cache
from adelecli.training.checkpoint import Learner, load_checkpoint, save_checkpoint
from adelecli.training.dataset import find_training_rows, open_slices
from adelecli.training.finishing import finish_run
from adelecli.training.keeping import discard_kept
from adelecli.training.loop import Experiment, run_epochs
from adelecli.training.network import build_network, set_prior_bias
from adelecli.training.options import TrainKeywords, TrainOptions
from adelecli.training.plan import RunPlan, make_plan, read_plan
from adelecli.training.robust import make_criterion
from adelecli.training.settings import Settings, format_settings, read_settings, resolve_settings
from adelecli.training.teacher import make_teacher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from adelecli.labels.classes import ClassTable
    from adelecli.training.dataset import Slices


PEER_SEED = 1_000_003  # added to the seed of a second network, which must start elsewhere than any first one


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its folder, one record per epoch, the onset epoch per class, and the cases left out with reasons."""

    folder: Path
    history: tuple[dict[str, Any], ...]
    onsets: dict[str, int | None]
    reasons: dict[str, str]
    left_out: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0, or 3 when some cases could not be used."""
        from adelecli.errors import OK, SOME_FAILED

        return SOME_FAILED if self.left_out else OK


def train(
    masks: str | Path | None = None,
    *,
    images: str | Path | None = None,
    progress: Callback = ignore_progress,
    **options: Unpack[TrainKeywords],
) -> TrainResult:
    """Train a network on noisy masks without letting it memorise the noise (ADELE, arXiv 2110.03740).

    ``masks`` defaults to ``./masks`` (or ``labelsTr``), ``images`` to the folder beside it; see ``TrainOptions`` for the rest.
    Raises ``ConfigError`` for contradictory or unknown settings, ``InputError`` where no case is usable, ``DeviceError``
    and ``OutputError``. One damaged case is left out and listed.
    """
    started = time.monotonic()
    chosen = read_keywords(TrainOptions, options)
    device = choose_device(chosen.device)
    if chosen.resume is not None:
        folder = Path(chosen.resume)
        _refuse_new_options(chosen, masks, images)
        settings, plan = read_settings(folder / "config.toml"), read_plan(folder)
    else:
        settings = _settings_from(chosen)
        plan = make_plan(masks, images, settings, chosen, progress)
        folder = runfolder.make_run_folder(Path(chosen.out), chosen.name or _default_name(settings, chosen))
        _open_run(folder, settings, plan, device)
    if not (folder / "cache" / "ready").exists():
        write_cache(folder / "cache", plan.survey, plan.clean_masks, progress)
        (folder / "cache" / "ready").touch()
    slices = open_slices(folder / "cache", plan.case_ids, plan.val_cases)
    experiment = Experiment(settings, slices, plan.survey.table.names, device, progress, folder)
    learner = start_learner(experiment, len(plan.survey.channels))
    load_checkpoint(folder, learner)
    run_epochs(learner, experiment, lambda: _commit(folder, learner, plan.survey.table))
    reasons = finish_run(folder, learner, experiment, plan)
    del slices, experiment
    shutil.rmtree(folder / "cache", ignore_errors=True)
    last = learner.history[-1]["onset"]
    return TrainResult(
        folder=folder,
        history=tuple(learner.history),
        onsets={name: last[i] for i, name in enumerate(plan.survey.table.names) if i},
        reasons=reasons,
        left_out=plan.survey.faults,
        seconds=round(time.monotonic() - started, 3),
    )


def choose_device(request: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a torch device. Raises ``DeviceError``: ``cuda`` never falls back."""
    kind, _, index = request.partition(":")
    if request not in {"auto", "cpu", "cuda"} and not (kind == "cuda" and index.isdecimal()):
        raise ConfigError(f"unknown device {request!r}", remedy="use auto, cpu, cuda or cuda:N")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(f"--device {request}: torch finds no usable GPU", remedy="use --device auto or cpu")
    if index and int(index) >= torch.cuda.device_count():
        raise DeviceError(f"--device {request}: there are {torch.cuda.device_count()} GPUs", remedy="name another")
    return torch.device("cuda" if kind == "auto" else request)


def start_learner(experiment: Experiment, channels: int) -> Learner:
    """A fresh network, its teacher and its optimiser; the same for the same seed."""
    settings = experiment.settings
    learner = _start_one(experiment, channels, settings.seed)
    if settings.coteaching.enabled:
        learner.peer = _start_one(experiment, channels, settings.seed + PEER_SEED)
    return learner


def _start_one(experiment: Experiment, channels: int, seed: int) -> Learner:
    settings = experiment.settings
    torch.manual_seed(seed)
    network = build_network(settings.network, channels, experiment.classes)
    if settings.network.prior_bias:
        rows = find_training_rows(experiment.slices, settings.data.slices_per_case)
        set_prior_bias(network, _class_shares(experiment.slices, rows, experiment.classes))
    network = network.to(experiment.device)
    criterion = make_criterion(settings.loss, experiment.classes).to(experiment.device)
    optimiser = make_optimiser([*network.parameters(), *criterion.parameters()], settings)
    return Learner(network, make_teacher(network), optimiser, criterion=criterion)


def make_optimiser(parameters: list[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum off, or AdamW, as the settings say."""
    chosen = settings.optimiser
    if chosen.name == "sgd":
        return torch.optim.SGD(parameters, lr=chosen.lr, momentum=chosen.momentum, weight_decay=chosen.weight_decay)
    return torch.optim.AdamW(parameters, lr=chosen.lr, weight_decay=chosen.weight_decay)


def _class_shares(slices: Slices, rows: NDArray[np.intp], classes: int) -> list[float]:
    """The share of each class among the labelled pixels of at most 500 training slices."""
    import numpy as np

    rows = rows[:: max(1, len(rows) // 500)]
    counts = np.bincount(slices.labels[rows].ravel(), minlength=256)[:classes]
    return [float(count) / max(1, int(counts.sum())) for count in counts]


def _settings_from(chosen: TrainOptions) -> Settings:
    flags: dict[str, object] = {"epochs": chosen.epochs, "seed": chosen.seed, "patience": chosen.patience}
    if chosen.axis:
        flags["data"] = {"axis": chosen.axis}
    return resolve_settings(
        chosen.preset,
        config=Path(chosen.config) if chosen.config else None,
        overrides=tuple(chosen.set),
        flags=flags,
        baseline=chosen.baseline,
    )


def _refuse_new_options(chosen: TrainOptions, masks: object, images: object) -> None:
    given = {"masks": masks, "images": images}
    given |= {name: getattr(chosen, name) for name in ("preset", "config", "epochs", "seed", "axis", "clean", "val")}
    extra = [name for name, value in given.items() if value is not None]
    if extra or chosen.set or chosen.baseline:
        names = extra + ["set"] * bool(chosen.set) + ["baseline"] * chosen.baseline
        raise ConfigError(
            f"--resume goes on with the run's own settings, but {names[0]} is given", remedy="leave it out"
        )
    if not Path(chosen.resume or "").is_dir():
        raise InputError("is not a run folder", path=chosen.resume, remedy="pass a folder of runs/")


def _default_name(settings: Settings, chosen: TrainOptions) -> str:
    return "baseline" if chosen.baseline else settings.preset


def _open_run(folder: Path, settings: Settings, plan: RunPlan, device: torch.device) -> None:
    runfolder.write_text(folder / "config.toml", format_settings(settings))
    runfolder.write_json(folder / "plan.json", msgspec.to_builtins(plan.to_record()))
    run = {
        "id": folder.name,
        "versions": runfolder.library_versions(),
        "device": str(device),
        "seed": settings.seed,
        "preset": settings.preset,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "data": plan.fingerprint(),
    }
    runfolder.write_json(folder / "run.json", run)


def _commit(folder: Path, learner: Learner, table: ClassTable) -> None:
    save_checkpoint(folder, learner)
    discard_kept(folder, learner.history)
    runfolder.write_history(folder, learner.history)
    onset = dict(zip(table.names, learner.history[-1]["onset"], strict=True))
    runfolder.write_json(folder / "state.json", {"epoch": learner.epoch, "finished": False, "onset": onset})
