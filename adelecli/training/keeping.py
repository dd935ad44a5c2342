"""Labels that outlive an epoch: what a run learns from when it cannot be made again from the original labels and the weights.

By default every epoch's labels are corrected anew from the original ones, and nothing is kept. Labels that accumulate corrections, or
come from predictions made while training, or are corrected only now and then, lie in ``kept/labels-<epoch>.npy`` of the run folder:
class indices uint8 ``[N, H, W]``, one for each row of the cache, memory-mapped, so that memory does not grow with the number of cases.

What must hold: the checkpoint alone decides. Its last history record names the file that counts, a new file never has the name of
one that counts, and a file is removed only after a checkpoint that names another has been written. So a run killed at any moment
goes on with the labels of its last whole epoch.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib.format import open_memmap

from adelecli.errors import InputError, OutputError
from adelecli.labels.correction import count_changes
from adelecli.training.onsets import choose_due
from adelecli.training.relabelling import Corrections, correct_case, find_eligible, join_predictions, predict_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from adelecli.labels.correction import Rule
    from adelecli.training.checkpoint import Learner
    from adelecli.training.dataset import Slices
    from adelecli.training.loop import Experiment
    from adelecli.training.network import MultiScale

KEPT = "kept"
_CHUNK = 64


class Predictions(Protocol):
    """Where the predictions of a correction come from."""

    def choose(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of ``rows`` for which there is a prediction."""

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Label and confidence ``[n, H, W]``."""


class EpochPredictions:
    """The predictions made while training on an epoch: scale 1, train mode, before the step; one for each row shown.

    They lie in the cache and are worthless after the epoch: a run that is killed makes them again.
    """

    def __init__(self, place: Path, slices: Slices, temperature: float) -> None:
        self.temperature = temperature
        self._seen = np.zeros(len(slices), dtype=bool)
        self._label: NDArray[np.uint8] = open_memmap(place / "predicted-label.npy", "w+", np.uint8, slices.labels.shape)
        self._confidence: NDArray[np.float32] = open_memmap(
            place / "predicted-confidence.npy", "w+", np.float32, slices.labels.shape
        )

    def add(self, rows: NDArray[np.intp], logits: torch.Tensor) -> None:
        """Keep ``softmax(logits / temperature)`` of a batch, ``logits [n, K, H, W]``."""
        confidence, label = (logits.detach().float() / self.temperature).softmax(1).max(1)
        self._label[rows] = label.cpu().numpy()
        self._confidence[rows] = confidence.cpu().numpy()
        self._seen[rows] = True

    def choose(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of ``rows`` that the epoch showed."""
        return rows[self._seen[rows]]

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Label and confidence ``[n, H, W]``."""
        return self._label[rows], self._confidence[rows]


class FreshPredictions:
    """Predictions of a model in eval mode, made when they are asked for."""

    def __init__(self, model: MultiScale, slices: Slices, device: torch.device, outline: float = 0.0) -> None:
        self._model, self._slices, self._device, self._outline = model, slices, device, outline

    def choose(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """All of ``rows``."""
        return rows

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Label and confidence ``[n, H, W]``."""
        found = predict_rows(self._model, self._slices, rows, self._device, self._outline)
        return join_predictions([prediction for _, prediction, _ in found])


def gather_predictions(experiment: Experiment) -> EpochPredictions | None:
    """Where the next epoch keeps its own predictions; ``None`` where no correction uses them."""
    settings = experiment.settings.correction
    if not settings.enabled or settings.predictions != "epoch":
        return None
    return EpochPredictions(_run_folder(experiment) / "cache", experiment.slices, settings.temperature)


def _run_folder(experiment: Experiment) -> Path:
    assert experiment.folder is not None, "labels that outlive an epoch need a run folder"
    return experiment.folder


def show_kept(
    learner: Learner, experiment: Experiment, rows: NDArray[np.intp]
) -> tuple[NDArray[np.uint8], Corrections | None]:
    """The kept labels ``[n, H, W]`` of ``rows`` and how they differ from the original ones; these while none are kept."""
    original = np.array(experiment.slices.labels[rows])
    kept = learner.history[-1].get("kept") if learner.history else None
    if kept is None:
        return original, None
    labels = np.array(open_kept(learner, experiment)[rows])
    cancelled = {case: tuple(classes) for case, classes in kept["cancelled"].items()}
    return labels, Corrections(count_changes(original, labels, experiment.classes), cancelled)


def open_kept(learner: Learner, experiment: Experiment) -> NDArray[np.uint8]:
    """All current labels ``[N, H, W]``, memory-mapped: the kept ones, or the original ones while none are. Raises ``InputError``."""
    return _open_labels(_run_folder(experiment) / KEPT, learner.history[-1].get("kept"), experiment.slices)


def _open_labels(place: Path, kept: Mapping[str, Any] | None, slices: Slices) -> NDArray[np.uint8]:
    if kept is None:
        return slices.labels
    path = place / kept["file"]
    try:
        labels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"the kept labels cannot be read ({error})", path=path, remedy="train again") from None
    return labels


def renew_kept(
    learner: Learner, experiment: Experiment, rule: Rule | None, source: MultiScale | EpochPredictions
) -> dict[str, Any] | None:
    """Correct what is due after the epoch just finished; what its history record must say about the kept labels.

    ``source``: the predictions of the epoch, or a model in eval mode that makes fresh ones. The last record of the history is
    that of the epoch just finished, not yet committed; the one before it names the labels that the epoch showed. Raises
    ``InputError`` and ``OutputError``.
    """
    settings, slices, place = experiment.settings.correction, experiment.slices, _run_folder(experiment) / KEPT
    before = learner.history[-2].get("kept") if len(learner.history) > 1 else None
    due = choose_due(learner.history[-1]["onset"], learner.epoch, settings)
    if rule is None or not due:
        return before
    if settings.mode == "accumulate":  # starting anew, a class that is not due would lose its correction
        rule = replace(rule, triggered=due)
    predictions: Predictions = (
        source
        if isinstance(source, EpochPredictions)
        else FreshPredictions(source, slices, experiment.device, rule.outline)
    )
    current = _open_labels(place, before, slices)
    name = f"labels-{learner.epoch:05}.npy"
    cancelled: dict[str, list[int]] = {}
    with _write_beside(place / name, current) as labels:
        for case in np.unique(slices.table["case"][~slices.is_val]):
            rows = predictions.choose(slices.rows_of(case))
            start = np.array((current if settings.mode == "accumulate" else slices.labels)[rows])
            eligible = find_eligible(start, rule) & ~slices.is_trusted[rows]
            labels[rows] = start
            if not eligible.any():
                continue
            rows, start = rows[eligible], start[eligible]
            label, confidence = predictions.read(rows)
            labels[rows], gone = correct_case(slices, rows, start, (label, confidence), rule, settings.guard)
            if gone:
                cancelled[slices.case_ids[case]] = list(gone)
    return {"file": name, "classes": sorted(rule.triggered), "cancelled": cancelled}


def discard_kept(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Remove the kept labels that the last record does not name; call it only once the checkpoint holds that record."""
    kept = history[-1].get("kept")
    for path in (folder / KEPT).glob("labels-*"):
        if kept is None or path.name != kept["file"]:
            path.unlink(missing_ok=True)


@contextmanager
def _write_beside(path: Path, current: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """A copy of ``current`` to change in place; synced and renamed to ``path`` at the end. Raises ``OutputError``."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        copy: NDArray[np.uint8] = open_memmap(temporary, "w+", np.uint8, current.shape)
        for start in range(0, len(current), _CHUNK):
            copy[start : start + _CHUNK] = current[start : start + _CHUNK]
        yield copy
        copy.flush()  # type: ignore[attr-defined]  # a memory map
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written ({error})", path=path, remedy="free space, then --resume") from None
