"""``train``: from folders of images and noisy masks to a run folder.

The order is that of the design: pair, survey, decide, cache, loop, correct once more, tidy up. What was decided stands in the run
folder before the first step is taken, so that a run that is stopped can be resumed from the folder alone.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, field, replace
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
from adelecli.training.conflicts import refuse_conflicts
from adelecli.training.crossfit import measure_noise
from adelecli.training.dataset import find_training_rows, open_slices
from adelecli.training.debiasing import learn_from_moved
from adelecli.training.distribution import count_processes, join_world, read_local_rank
from adelecli.training.finishing import explain_onsets, finish_run
from adelecli.training.keeping import discard_kept
from adelecli.training.loop import Experiment, run_epochs
from adelecli.training.memory import keep_freed_memory
from adelecli.training.network import build_network, set_prior_bias
from adelecli.training.noisefile import read_noise
from adelecli.training.options import TrainKeywords, TrainOptions
from adelecli.training.plan import RunPlan, make_plan, read_plan
from adelecli.training.precision import make_scaler
from adelecli.training.resolving import format_settings, read_settings, resolve_settings
from adelecli.training.robust import make_criterion
from adelecli.training.teacher import make_teacher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from adelecli.labels.classes import ClassTable
    from adelecli.labels.excess import Noise
    from adelecli.training.dataset import Slices
    from adelecli.training.distribution import World
    from adelecli.training.settings import Settings


REFUSED = ("preset", "config", "epochs", "seed", "axis", "clean", "val", "trusted")  # on resuming
PEER_SEED = 1_000_003  # added to the seed of a second network, which must start elsewhere than any first one


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its folder, one record per epoch, the onset epoch per class, and the cases left out with reasons."""

    folder: Path
    history: tuple[dict[str, Any], ...] = field(repr=False)  # a line for a person names no epoch
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

    Under ``torchrun`` every process calls it alike: the first one writes and reports, all of them return the result.
    """
    started = time.monotonic()
    chosen = read_keywords(TrainOptions, options)
    with join_world(choose_device(chosen.device)) as world:
        keep_freed_memory(world.device)
        progress = progress if world.leads else ignore_progress
        folder, settings, plan = _prepare_run(masks, images, chosen, world, progress)
        slices = open_slices(folder / "cache", plan.case_ids, plan.val_cases, plan.trusted_cases)
        experiment = Experiment(settings, slices, plan.survey.table.names, world.device, progress, folder, world)
        channels = len(plan.survey.channels)
        with runfolder.naming_interruption(folder):
            experiment = replace(experiment, noise=_learn_noise(folder, experiment, channels))
            learner = start_learner(experiment, channels)
            load_checkpoint(folder, learner)
            learnt = learn_from_moved(experiment, folder / "cache")
            run_epochs(learner, learnt, lambda: _commit(folder, learner, plan.survey.table, world))
    reasons = explain_onsets(learner, experiment, plan)
    if world.leads:
        finish_run(folder, learner, experiment, plan)
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


def _prepare_run(
    masks: str | Path | None, images: str | Path | None, chosen: TrainOptions, world: World, progress: Callback
) -> tuple[Path, Settings, RunPlan]:
    """The run's folder with its cache, its settings and its plan: the leading process makes them, the others wait and read.

    What cannot be is refused by each process for itself, so that all of them give the same reason.
    """
    if chosen.resume is not None:
        _refuse_new_options(chosen, masks, images)
        settings = read_settings(Path(chosen.resume) / "config.toml")
    else:
        runfolder.check_name(chosen.name)
        settings = _settings_from(chosen)
    refuse_conflicts(settings, world)
    if not world.leads:
        folder = Path(world.share_text(""))
        return folder, read_settings(folder / "config.toml"), read_plan(folder)
    if chosen.resume is not None:
        folder = Path(chosen.resume)
        plan = read_plan(folder)
    else:
        plan = make_plan(masks, images, settings, chosen, progress)
        folder = runfolder.make_run_folder(Path(chosen.out), chosen.name or _default_name(settings, chosen))
        _open_run(folder, settings, plan, world)
    if not (folder / "cache" / "ready").exists():
        write_cache(folder / "cache", plan.survey, plan.clean_masks, progress)
        (folder / "cache" / "ready").touch()
    world.share_text(str(folder.resolve()))
    return folder, settings, plan


def _learn_noise(folder: Path, experiment: Experiment, channels: int) -> Noise | None:
    """How noisy the labels are: the leading process measures, the others wait and read."""
    if not experiment.world.leads:
        experiment.world.share_text("")
        return read_noise(folder)
    noise = measure_noise(experiment, lambda plain: start_learner(plain, channels), folder)
    experiment.world.share_text("measured")
    return noise


def choose_device(request: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a torch device; under ``torchrun`` each process has its own GPU.

    Raises ``DeviceError``: ``cuda`` never falls back.
    """
    kind, _, index = request.partition(":")
    if request not in {"auto", "cpu", "cuda"} and not (kind == "cuda" and index.isdecimal()):
        raise ConfigError(f"unknown device {request!r}", remedy="use auto, cpu, cuda or cuda:N")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(f"--device {request}: torch finds no usable GPU", remedy="use --device auto or cpu")
    if index and int(index) >= torch.cuda.device_count():
        raise DeviceError(f"--device {request}: there are {torch.cuda.device_count()} GPUs", remedy="name another")
    if count_processes() > 1:
        if index:
            raise ConfigError(
                f"--device {request} is one GPU, but torchrun starts several processes", remedy="use cuda"
            )
        return torch.device("cuda", read_local_rank())
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
    if experiment.world.size > 1:
        # statistics of the whole batch; the weights keep their names, and other norms look at one slice anyway
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(experiment.device)
    criterion = make_criterion(settings.loss, experiment.classes, experiment.world.pool).to(experiment.device)
    optimiser = make_optimiser([*network.parameters(), *criterion.parameters()], settings)
    scaler = make_scaler(settings.precision, experiment.device)
    return Learner(network, make_teacher(network), optimiser, scaler, criterion=criterion)


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
    given |= {name: getattr(chosen, name) for name in REFUSED}
    extra = [name for name, value in given.items() if value is not None]
    if extra or chosen.set or chosen.baseline:
        names = extra + ["set"] * bool(chosen.set) + ["baseline"] * chosen.baseline
        raise ConfigError(
            f"--resume goes on with the run's own settings, but {names[0]} is given", remedy="leave it out"
        )
    if not Path(chosen.resume or "").is_dir():
        raise InputError("is not a run folder", path=chosen.resume, remedy="pass a folder of runs/")
    if not (Path(chosen.resume or "") / "config.toml").is_file():
        raise InputError("has no config.toml: it was stopped before it began", path=chosen.resume, remedy="train anew")


def _default_name(settings: Settings, chosen: TrainOptions) -> str:
    return "baseline" if chosen.baseline else settings.preset


def _open_run(folder: Path, settings: Settings, plan: RunPlan, world: World) -> None:
    """``run.json``, ``plan.json`` and, as the mark that they are whole, ``config.toml``."""
    runfolder.write_json(folder / "plan.json", msgspec.to_builtins(plan.to_record()))
    config = format_settings(settings)
    run = {
        "id": folder.name,
        "versions": runfolder.library_versions(),
        "device": str(world.device),
        "processes": world.size,
        "seed": settings.seed,
        "preset": settings.preset,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "data": plan.fingerprint(),
        "hashes": {
            "config.toml": hashlib.sha256(config.encode()).hexdigest(),
            "plan.json": hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest(),
        },
        "trusted": plan.trusted_cases,
    }
    runfolder.write_json(folder / "run.json", run)
    runfolder.write_part(folder / "config.toml", config)


def _commit(folder: Path, learner: Learner, table: ClassTable, world: World) -> None:
    if not world.leads:
        return
    runfolder.write_history(folder, learner.history)
    save_checkpoint(folder, learner)
    discard_kept(folder, learner.history)
    onset = dict(zip(table.names, learner.history[-1]["onset"], strict=True))
    runfolder.write_json(folder / "state.json", {"epoch": learner.epoch, "finished": False, "onset": onset})
