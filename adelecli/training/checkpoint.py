"""Everything a run needs to go on bit-identically, in one safetensors file.

The file is written beside and renamed once per epoch, so a run that is killed at any moment resumes at the end of an epoch. Data
order and augmentation are functions of (seed, epoch), hence no random state is stored. What must hold: the bytes are a function of the
run, so that a resumed run and an undisturbed one have the same hash; how long an epoch took stands in ``history.jsonl`` alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from adelecli.errors import InputError, OutputError
from adelecli.training.robust import CrossEntropy
from adelecli.training.runfolder import CHECKPOINT, TIME, read_times, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass
class Learner:
    """The mutable state of a run: weights, optimiser, the epochs and steps done, one history record per epoch."""

    network: nn.Module
    teacher: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    criterion: nn.Module = field(default_factory=CrossEntropy)
    """The loss against the labels; some losses learn parameters of their own."""
    peer: Learner | None = None
    """The second network of co-teaching; its epochs and history are those of the first."""


def save_checkpoint(folder: Path, learner: Learner) -> None:
    """Write ``checkpoint.safetensors`` atomically. Raises ``OutputError``."""
    tensors, state = _list_tensors(learner), _list_counters(learner)
    timeless = [{key: value for key, value in record.items() if key != TIME} for record in learner.history]
    state |= {"epoch": learner.epoch, "history": timeless}
    if learner.peer is not None:
        tensors |= {f"peer.{name}": value for name, value in _list_tensors(learner.peer).items()}
        state["peer"] = _list_counters(learner.peer)
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"adele": json.dumps(state, allow_nan=False)}
    path = folder / CHECKPOINT
    try:
        replace_file(path, lambda beside: save_file(plain, beside, metadata))
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot be written ({error})", path=path, remedy="free space, then --resume") from None


def _list_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    modules = {"network": learner.network, "teacher": learner.teacher, "criterion": learner.criterion}
    tensors = {
        f"{part}.{name}": value for part, module in modules.items() for name, value in module.state_dict().items()
    }
    for index, slots in learner.optimiser.state_dict()["state"].items():
        for slot, value in slots.items():
            if value is not None:
                tensors[f"optimiser.{index}.{slot}"] = torch.as_tensor(value)
    return tensors


def _list_counters(learner: Learner) -> dict[str, Any]:
    """What is no tensor and each of two networks has for itself: a skipped step is not counted, and moves the loss scale."""
    scaler = {} if learner.scaler is None else {"scaler": learner.scaler.state_dict()}
    return {"step": learner.step} | scaler


def load_checkpoint(folder: Path, learner: Learner) -> bool:
    """Put the checkpoint of ``folder`` into ``learner``; ``False`` where there is none yet. Raises ``InputError``."""
    path = folder / CHECKPOINT
    if not path.exists():
        return False
    tensors, state = read_checkpoint(path)
    _restore(learner, tensors, state)
    times = read_times(folder)
    learner.epoch = state["epoch"]
    learner.history = [record | {TIME: record.get(TIME, times.get(record["epoch"]))} for record in state["history"]]
    if learner.peer is not None:
        _restore(learner.peer, _part(tensors, "peer"), state["peer"])
    return True


def _restore(learner: Learner, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
    learner.network.load_state_dict(_part(tensors, "network"))
    learner.teacher.load_state_dict(_part(tensors, "teacher"))
    learner.criterion.load_state_dict(_part(tensors, "criterion"))
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _part(tensors, "optimiser").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    groups = learner.optimiser.state_dict()["param_groups"]
    learner.optimiser.load_state_dict({"state": slots, "param_groups": groups})
    learner.step = counters["step"]
    if learner.scaler is not None:
        learner.scaler.load_state_dict(counters["scaler"])


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the state of a checkpoint. Raises ``InputError`` for a damaged or foreign file."""
    try:
        path.open("rb").close()  # safetensors calls a file that may not be read a file that is not there
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="check its permissions") from None
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["adele"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"is not a readable checkpoint ({error})", path=path, remedy="train again") from None


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
