"""Which classes have begun to be memorised, by the rule that the settings name; and which of them are corrected when.

Everything here is a function of the history, which the checkpoint holds, so a resumed run decides as the stopped one would have.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from adelecli.dynamics import Onset, detect_onset
from adelecli.training.trimming import detect_trimmed_onset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adelecli.training.checkpoint import Learner
    from adelecli.training.loop import Experiment
    from adelecli.training.settings import CorrectionSettings, OnsetSettings


def find_onsets(learner: Learner, experiment: Experiment) -> tuple[Onset, ...]:
    """The onset of each class from its curve so far; the background (index 0) is never fitted."""
    settings = experiment.settings
    curves = [[record["curve"][c] for record in learner.history] for c in range(experiment.classes)]
    onsets = [
        _find_onset([float("nan") if value is None else value for value in curve], settings.onset, settings.epochs)
        for curve in curves[1:]
    ]
    background = Onset(triggered=False, epoch=None, fit=None, index=None, reason="background is never fitted")
    return (background, *onsets)


def describe_onsets(onsets: Sequence[Onset]) -> dict[str, list[Any]]:
    """Of each class the epoch of its onset, the curve that was fitted (``a``, ``b``, ``c``, ``rmse``) and rho; ``None``: none yet."""
    return {
        "onset": [onset.epoch for onset in onsets],
        "fit": [None if onset.fit is None else asdict(onset.fit) for onset in onsets],
        "index": [onset.index for onset in onsets],
    }


def _find_onset(curve: Sequence[float], settings: OnsetSettings, epochs: int) -> Onset:
    if settings.rule == "trimmed":
        onset = detect_trimmed_onset(curve, epochs=epochs, r=settings.r)
    else:
        onset = detect_onset(
            curve,
            r=settings.r,
            consecutive=settings.consecutive,
            min_points=settings.min_points,
            learnt=settings.learnt,
            min_iou=settings.min_iou,
        )
    return force_onset(onset, settings.forced_epoch, len(curve))


def force_onset(onset: Onset, forced: int, epoch: int) -> Onset:
    """``onset``, or one at epoch ``forced`` (0: never) where it had not come by then and ``epoch`` is that far."""
    if not forced or epoch < forced or (onset.epoch is not None and onset.epoch <= forced):
        return onset
    return replace(onset, triggered=True, epoch=forced, reason=f"forced at epoch {forced}")


def choose_due(onsets: Sequence[int | None], epoch: int, settings: CorrectionSettings) -> frozenset[int]:
    """The triggered classes that are corrected after ``epoch``; ``onsets`` holds each class's onset epoch or ``None``."""
    triggered = {index for index, onset in enumerate(onsets) if onset is not None}
    if epoch % settings.interval == 0:
        return frozenset(triggered)
    if settings.when == "onset":
        return frozenset(index for index in triggered if onsets[index] == epoch)
    return frozenset()
