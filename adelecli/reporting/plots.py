"""Figures of a training run: what each class has learnt, when its memorisation began, and what the correction gained.

Training writes them into a run's ``plots/``, the demo and the documentation show the same ones. The input is the run's history
(one record per epoch, as in ``history.jsonl``; lists run over the classes, background first; ``None``: not measured) and
nothing else, so that a figure can be redrawn from a run folder years later. No figure is drawn from numbers that are not there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from adelecli.dynamics import Criterion, Onset, detect_onset
from adelecli.reporting import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes


LOSSES = {"ce": "cross-entropy", "dice": "Dice", "consistency": "consistency between scales"}
"""Terms of the loss as a reader is told them."""


class Thresholds(Protocol):
    """The onset criterion as a run's settings hold it; see ``dynamics.Criterion``."""

    @property
    def r(self) -> float: ...  # noqa: D102
    @property
    def consecutive(self) -> int: ...  # noqa: D102
    @property
    def min_points(self) -> int: ...  # noqa: D102
    @property
    def learnt(self) -> float: ...  # noqa: D102
    @property
    def min_iou(self) -> float: ...  # noqa: D102


class ErrorBar(NamedTuple):
    """Label error of one class (wrong voxels / voxels in the union of true and noisy foreground) before and after."""

    name: str
    before: float
    after: float


def draw_run_plots(
    folder: Path, history: Sequence[Mapping[str, Any]], names: Sequence[str], onset: Thresholds | None = None
) -> tuple[Path, ...]:
    """All figures that ``history`` has numbers for: ``curves.png``, ``losses.png``, ``dynamics.png`` (clean labels known)."""
    if not history:
        return ()
    made = [draw_curves(folder / "curves.png", history, names, onset), draw_losses(folder / "losses.png", history)]
    if has_dynamics(history):
        made.append(draw_dynamics(folder / "dynamics.png", {"": history}, names))
    return tuple(made)


def has_dynamics(history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether clean labels were known, so that early learning and memorisation could be told apart."""
    return any(record.get("dynamics") for record in history)


def draw_curves(
    path: Path, history: Sequence[Mapping[str, Any]], names: Sequence[str], onset: Thresholds | None = None
) -> Path:
    """Per foreground class: training IoU against the noisy labels, the growth curve fitted to it, the onset."""
    count = len(names) - 1
    with style.open_figure(path, style.plan_size(count)) as figure:
        style.add_heading(
            figure,
            "Where memorisation begins",
            r"Dots: IoU of the training-time prediction with the given labels. Line: $a\,(1-e^{-b\,t^{c}})$ fitted up to the onset.",
        )
        for index, panel in enumerate(style.lay_panels(figure, count), start=1):
            curve = _column([record["curve"] for record in history], index)
            epoch = history[-1].get("onset", [None] * len(names))[index]
            _draw_curve(panel, curve, epoch, _settle_criterion(onset))
            _label_epochs(panel, len(history))
            panel.set_ylim(0, 1)
            panel.set_title(names[index])
        figure.supylabel("IoU", fontsize=10, color=style.INK)
    return path


def _settle_criterion(onset: Thresholds | None) -> Criterion:
    if onset is None:
        return Criterion()
    return Criterion(onset.r, onset.consecutive, onset.min_points, onset.learnt, onset.min_iou)


def _draw_curve(panel: Axes, curve: Sequence[float], epoch: int | None, need: Criterion) -> None:
    seen = _fit_until(curve, epoch, need)
    panel.plot(range(1, len(curve) + 1), curve, "o", ms=4.5, color=style.BLUE, label="measured")
    if seen.fit is not None and seen.learnt is not None:
        known = len(curve[:epoch]) - seen.learnt + 1
        t = np.linspace(0.02, len(curve) - seen.learnt + 1, 200)
        height = seen.fit.a * -np.expm1(-seen.fit.b * t**seen.fit.c)
        shown = t + seen.learnt - 1
        panel.plot(shown[t <= known], height[t <= known], color=style.ORANGE, zorder=1.5, label="fit")
        panel.plot(shown[t >= known], height[t >= known], ":", color=style.ORANGE, zorder=1.5)
    if epoch is not None:
        _mark_onset(panel, epoch)
    text, colour = ("no onset", style.GREY) if epoch is None else (f"onset: epoch {epoch}", style.VERMILLION)
    box = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 2}
    panel.text(0.97, 0.06, text, transform=panel.transAxes, ha="right", color=colour, bbox=box)


def _fit_until(curve: Sequence[float], epoch: int | None, need: Criterion) -> Onset:
    """The fit that decided: on the curve up to the onset, or the whole of it where there was none."""
    return detect_onset(
        curve[:epoch],
        r=need.r,
        consecutive=need.consecutive,
        min_points=need.min_points,
        learnt=need.learnt,
        min_iou=need.min_iou,
    )


def _mark_onset(panel: Axes, epoch: int) -> None:
    panel.axvspan(epoch, epoch + 1e6, color=style.VERMILLION, alpha=0.06, lw=0)
    panel.axvline(epoch, color=style.VERMILLION, lw=1.4)


def draw_dynamics(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str]) -> Path:
    """On wrongly labelled pixels only: IoU with the truth (early learning) and with the wrong labels (memorisation).

    ``runs`` maps a run's name to its history; the last one is drawn with full lines, those before it dashed, and its onsets
    are marked. Source: IoU_el and IoU_m, section 3 of arXiv 2110.03740.
    """
    count, last = len(names) - 1, list(runs)[-1]
    width, height = style.plan_size(count)
    with style.open_figure(path, (max(9.6, width), height)) as figure:  # title and legend stand side by side
        style.add_heading(
            figure,
            "Learning the organ, or learning the mistakes",
            "IoU of the training-time prediction, on the wrongly labelled pixels of the training set only; shaded: after the onset.",
        )
        panels = style.lay_panels(figure, count)
        for index, panel in enumerate(panels, start=1):
            for run, history in runs.items():
                _draw_dynamics_lines(panel, run, history, index, dashed=run != last)
            epoch = runs[last][-1].get("onset", [None] * len(names))[index]
            if epoch is not None:
                _mark_onset(panel, epoch)
            panel.set_title(names[index])
            _label_epochs(panel, max(map(len, runs.values())))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=9)
    return path


def _draw_dynamics_lines(
    panel: Axes, run: str, history: Sequence[Mapping[str, Any]], index: int, *, dashed: bool
) -> None:
    for key, what, colour in (
        ("early", "with the truth", style.BLUE),
        ("memorised", "with the mistakes", style.VERMILLION),
    ):
        values = _column([(record.get("dynamics") or {}).get(key) for record in history], index)
        label = f"{run}: {what}" if run else what
        line = {"ls": "--", "lw": 1.4, "alpha": 0.75} if dashed else {"ls": "-", "lw": 2.2}
        panel.plot(range(1, len(values) + 1), values, color=colour, label=label, **line)  # type: ignore[arg-type]


def draw_losses(path: Path, history: Sequence[Mapping[str, Any]]) -> Path:
    """Left the losses of each epoch; right the mean validation IoU of the network and of its moving average."""
    with style.open_figure(path, (9.0, 3.4)) as figure:
        left, right = figure.subplots(1, 2)
        epochs = range(1, len(history) + 1)
        colours = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)
        names = [name for name in history[0]["losses"] if name != "skipped"]
        for name, colour in zip(names, colours, strict=False):
            values = [record["losses"].get(name, math.nan) for record in history]
            left.plot(epochs, values, color=colour, label=LOSSES.get(name, name))
        left.set_title("loss")
        left.set_ylim(bottom=0)
        for key, label, colour in (("student", "network", style.SKY), ("teacher", "moving average", style.BLUE)):
            right.plot(epochs, read_scores(history, key), color=colour, label=label)
        right.set_title("mean IoU, validation cases")
        for panel in (left, right):
            panel.legend(loc="best", fontsize=9)
            _label_epochs(panel, len(history))
    return path


def draw_scores(path: Path, series: Mapping[str, Sequence[float]], title: str = "Mean IoU on unseen cases") -> Path:
    """One line per method over the epochs, named at its end; the last one (ours) is drawn on top and strongest."""
    colours = (style.GREY, style.ORANGE, style.GREEN, style.PURPLE)
    with style.open_figure(path, (6.8, 3.6)) as figure:
        panel = figure.subplots()
        for number, (name, values) in enumerate(series.items()):
            strong = number == len(series) - 1
            colour, width = (style.BLUE, 2.6) if strong else (colours[number % 4], 1.8)
            panel.plot(range(1, len(values) + 1), values, color=colour, lw=width, label=name)
        panel.set_title(title)
        panel.legend(loc="lower right", fontsize=9)
        _label_epochs(panel, max(map(len, series.values())))
    return path


def draw_label_errors(
    path: Path, bars: Sequence[ErrorBar], *, note: str = "", corrected: str = "corrected by ADELE"
) -> Path:
    """Two bars a class, label error before and after what ``corrected`` names, with the numbers and the change in words."""
    places = np.arange(len(bars))[::-1]
    before, after = (np.array([getattr(bar, side) for bar in bars]) for side in ("before", "after"))
    with style.open_figure(path, (7.4, 0.72 * len(bars) + 2.2)) as figure:
        style.add_heading(figure, "Wrong labels before and after", note)
        panel = figure.subplots()
        panel.barh(places + 0.2, before * 100, 0.36, color="#C3C8CF", label="noisy labels")
        panel.barh(places - 0.2, after * 100, 0.36, color=style.BLUE, label=corrected)
        for place, bar in zip(places, bars, strict=True):
            gain = f"   {bar.after / bar.before - 1:+.0%}" if bar.before else ""
            _write_beside(panel, bar.before, place + 0.2, f"{bar.before:.1%}", style.GREY)
            _write_beside(panel, bar.after, place - 0.2, f"{bar.after:.1%}{gain}", style.INK)
        panel.set_yticks(places, [bar.name for bar in bars])
        panel.set_xlabel("wrong voxels, % of true or noisy organ voxels")
        panel.set_xlim(0, 100 * max(0.05, float(np.nanmax([before, after]))) * 1.22)
        panel.grid(axis="y", visible=False)
        panel.spines["left"].set_visible(False)
        panel.tick_params(axis="y", length=0)
        panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=9)
    return path


def _write_beside(panel: Axes, share: float, height: float, text: str, colour: str) -> None:
    offset = {"xytext": (4, 0), "textcoords": "offset points"}
    panel.annotate(text, (share * 100, height), va="center", color=colour, fontsize=9, **offset)  # type: ignore[arg-type]


def read_scores(history: Sequence[Mapping[str, Any]], network: str, measure: str = "mean_iou") -> list[float]:
    """One validation score per epoch of ``"student"`` or ``"teacher"``; NaN where it was not measured."""
    scores = [(record.get("val") or {}).get(network, {}).get(measure) for record in history]
    return [math.nan if score is None else float(score) for score in scores]


def _column(lists: Sequence[Sequence[float | None] | None], index: int) -> list[float]:
    values = [None if row is None else row[index] for row in lists]
    return [math.nan if value is None else float(value) for value in values]


def _label_epochs(panel: Axes, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlim(0.5, epochs + 0.5)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    panel.set_xlabel("epoch")
