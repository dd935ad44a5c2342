"""Figures of a benchmark: validation IoU over the epochs, the share of the gap, label error before and after, by method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from adelecli.reporting import style
from adelecli.reporting.plots import ErrorBar, draw_label_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOTE = "Training labels that were learnt from; mean over the seeds."
LINES = ("-", "--", ":", "-.")
COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.GREY)


def draw_benchmark(
    folder: Path,
    curves: Mapping[str, Sequence[float | None]],
    figures: Mapping[str, Mapping[str, float | None]],
) -> tuple[Path, ...]:
    """All figures that there are numbers for: ``iou.png``, ``gap.png``, ``labels.png``; the paths of those drawn.

    ``curves``: per method one IoU an epoch; ``figures``: per method its mean ``gap``, ``error_before`` and ``error_after``.
    """
    drawn = [draw_curves(folder / "iou.png", curves)]
    gaps = {name: values["gap"] for name, values in figures.items() if values.get("gap") is not None}
    if gaps:
        drawn.append(draw_gaps(folder / "gap.png", gaps))
    bars = [
        ErrorBar(name, before, after)
        for name, values in figures.items()
        if (before := values.get("error_before")) is not None and (after := values.get("error_after")) is not None
    ]
    if any(bar.before or bar.after for bar in bars):
        drawn.append(draw_label_errors(folder / "labels.png", bars, note=NOTE, corrected="corrected labels"))
    return tuple(drawn)


def draw_curves(path: Path, curves: Mapping[str, Sequence[float | None]]) -> Path:
    """One line a method: mean validation IoU over the seeds, epoch by epoch."""
    with style.open_figure(path, (8.4, 4.4)) as figure:
        panel = figure.subplots()
        for number, (name, values) in enumerate(curves.items()):
            heights = [math.nan if value is None else value for value in values]
            line = LINES[number // len(COLOURS) % len(LINES)]
            panel.plot(range(1, len(heights) + 1), heights, line, color=COLOURS[number % len(COLOURS)], label=name)
        panel.set_title("Mean IoU on held-out cases")
        panel.set_xlabel("epoch")
        figure.legend(loc="outside right upper", fontsize=9)
    return path


def draw_gaps(path: Path, gaps: Mapping[str, float | None]) -> Path:
    """One bar a method: the share of the way from noisy to clean labels, 0 to 1; losses point to the left."""
    with style.open_figure(path, (7.4, 0.42 * len(gaps) + 1.6)) as figure:
        panel = figure.subplots()
        places = np.arange(len(gaps))[::-1]
        shares = np.array([math.nan if value is None else value for value in gaps.values()]) * 100
        panel.barh(places, shares, 0.6, color=[style.BLUE if share >= 0 else style.VERMILLION for share in shares])
        panel.axvline(0, color=style.INK, lw=1)
        panel.set_yticks(places, list(gaps))
        panel.set_xlabel("share of the gap recovered, %")
        panel.grid(axis="y", visible=False)
    return path
