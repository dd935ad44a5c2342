"""How an epoch of training reads in few words, for the live table and for lines.

`train` reports an epoch as a step whose detail holds `losses`, and lists over the class indices (background first):
`curve` (IoU) and `onset` (epoch or nothing), with `names` where it knows them. What is missing is left out, never an error:
a display must not end a training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adelecli.progress import Progress

CURVE = "curve"


def list_classes(detail: Mapping[str, Any]) -> list[tuple[str, float | None, int | None]]:
    """Name, IoU and onset of each foreground class of an epoch."""
    curve = list(detail.get(CURVE, ()))
    names = [str(name) for name in detail.get("names", ())] or [f"class {index}" for index in range(len(curve))]
    onsets = list(detail.get("onset", ())) or [None] * len(curve)
    return list(zip(names, curve, onsets, strict=False))[1:]


def describe_losses(detail: Mapping[str, Any]) -> str:
    """Each term of the loss with its mean; what is zero (no step was skipped) is left out."""
    return ", ".join(f"{name} {value:.4f}" for name, value in detail.get("losses", {}).items() if value)


def describe_progress(event: Progress) -> str:
    """The heading over the classes: which epoch, and its losses."""
    return f"epoch {event.done} of {event.total}: {describe_losses(event.detail)}"


def describe_epoch(detail: Mapping[str, Any]) -> str:
    """One line: losses, IoU per class, a mark where a class has begun to be memorised, seconds."""
    classes = (
        f"{name} {'-' if iou is None else format(iou, '.3f')}{'' if onset is None else f' (onset {onset})'}"
        for name, iou, onset in list_classes(detail)
    )
    seconds = detail.get("seconds")
    parts = [describe_losses(detail), "IoU " + ", ".join(classes), "" if seconds is None else f"{seconds:.1f} s"]
    return "; ".join(part for part in parts if part)
