"""The demo's pictures: what the annotator drew, what ADELE made of it, and what is true, side by side on the image.

A number convinces no radiologist; a picture in which the wrong pixels vanish does. What must hold: cases and slices are chosen by
a fixed rule that cannot see the result (the slices with the most wrongly labelled pixels *before* the correction), and every
wrong pixel is shown, also those that the correction has made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adelecli.reporting import style

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Outlines must be seen on grey and told apart from the wrong pixels (vermillion); lighter Okabe-Ito colours.
OUTLINES = ("#F0E442", "#56B4E9", "#5FE0B7", "#F29AC8")
WRONG = (0.94, 0.30, 0.08)
NIGHT, SNOW = "#0E1116", "#F2F4F7"
WINDOW = (-220.0, 330.0)


@dataclass(frozen=True, eq=False)
class View:
    """One slice of one case: image (HU) and three label maps of class indices, all ``[Y, X]``; ``pixel`` = (dy, dx) in mm."""

    title: str
    image: NDArray[np.int16] | NDArray[np.float32]
    noisy: NDArray[np.uint8]
    corrected: NDArray[np.uint8]
    true: NDArray[np.uint8]
    pixel: tuple[float, float] = (1.0, 1.0)


def choose_slice(noisy: NDArray[np.uint8], true: NDArray[np.uint8], part: tuple[int, int] = (0, 1)) -> int:
    """The slice of ``[Z, Y, X]`` with the most wrongly labelled pixels, the first of equals; 0 where nothing is labelled.

    ``part`` = (i, n) looks only at the i-th of n equal parts of the labelled slices, so that n rows show n heights.
    """
    labelled = np.flatnonzero((true > 0).any(axis=(1, 2)))
    if not labelled.size:
        return 0
    stretch = np.array_split(labelled, part[1])[part[0]]
    stretch = stretch if stretch.size else labelled
    wrong = (noisy[stretch] != true[stretch]).sum(axis=(1, 2))
    return int(stretch[wrong.argmax()])


def draw_overlays(path: Path, views: Sequence[View], names: Sequence[str]) -> Path:
    """One row per view: noisy label, corrected label, truth; outlines by class, wrong pixels filled and counted."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    top, bottom, left, right = _find_crop(views)
    height = 3.05 * (bottom - top) * views[0].pixel[0] / ((right - left) * views[0].pixel[1])
    with style.open_figure(path, (9.4, len(views) * height + 1.0), background=NIGHT) as figure:
        grid = figure.subplots(len(views), 3, squeeze=False)
        for row, view in zip(grid, views, strict=True):
            for panel, labels in zip(row, (view.noisy, view.corrected, view.true), strict=True):
                _draw_panel(panel, view, labels)
                panel.set_xlim(left - 0.5, right - 0.5)
                panel.set_ylim(bottom - 0.5, top - 0.5)
            _write_in(row[0], view.title, "upper")
            _write_in(row[0], _count_wrong(view.noisy, view), "lower")
            _write_in(row[1], _count_wrong(view.corrected, view), "lower")
        for panel, heading in zip(grid[0], ("noisy annotation", "corrected by ADELE", "truth"), strict=True):
            panel.set_title(heading, color=SNOW, loc="center", fontsize=12, fontweight="bold", pad=6)
        keys: list[Line2D | Patch] = [
            Line2D([], [], color=_outline(i), lw=2.4, label=name) for i, name in enumerate(names[1:], 1)
        ]
        keys.append(Patch(color=WRONG, alpha=0.75, label="wrong pixels"))
        figure.legend(handles=keys, loc="outside lower center", ncols=5, labelcolor=SNOW, fontsize=10)
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.05, wspace=0.0, hspace=0.0)  # type: ignore[union-attr, call-arg]
    return path


def _outline(label: int) -> str:
    return OUTLINES[(label - 1) % len(OUTLINES)]


def _count_wrong(labels: NDArray[np.uint8], view: View) -> str:
    return f"{int((labels != view.true).sum())} wrong pixels"


def _write_in(panel: Axes, text: str, place: str) -> None:
    y, align = (0.97, "top") if place == "upper" else (0.03, "bottom")
    panel.text(0.025, y, text, transform=panel.transAxes, va=align, color=SNOW, fontsize=9.5,
               bbox={"facecolor": NIGHT, "alpha": 0.6, "lw": 0, "pad": 2.5})  # fmt: skip


def _draw_panel(panel: Axes, view: View, labels: NDArray[np.uint8]) -> None:
    aspect = view.pixel[0] / view.pixel[1]
    panel.imshow(view.image, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], interpolation="bicubic", aspect=aspect)
    wrong = labels != view.true
    panel.imshow(np.dstack([np.full((*wrong.shape, 3), WRONG), wrong * 0.72]), interpolation="nearest", aspect=aspect)
    for label in np.unique(labels[labels > 0]):
        _trace(panel, labels == label, _outline(int(label)))
    panel.set_axis_off()


def _trace(panel: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    """The outline of a mask along its pixel edges: nothing is smoothed, what is drawn is what is labelled."""
    from matplotlib.collections import LineCollection

    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:, :] != padded[:-1, :])
    edges = [[(x - 1.5, y - 0.5), (x - 0.5, y - 0.5)] for y, x in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(padded[:, 1:] != padded[:, :-1])
    edges += [[(x - 0.5, y - 1.5), (x - 0.5, y - 0.5)] for y, x in zip(rows, columns, strict=True)]
    panel.add_collection(LineCollection(edges, colors=colour, linewidths=1.7, capstyle="round"), autolim=False)


def _find_crop(views: Sequence[View], margin: int = 5) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right) that hold every label of every view, with a margin, one crop for all."""
    shown = np.any([np.any([view.true > 0, view.noisy > 0, view.corrected > 0], axis=0) for view in views], axis=0)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not rows.size:
        return 0, shown.shape[0], 0, shown.shape[1]
    top, bottom = max(0, int(rows[0]) - margin), min(shown.shape[0], int(rows[-1]) + margin + 1)
    left, right = max(0, int(columns[0]) - margin), min(shown.shape[1], int(columns[-1]) + margin + 1)
    return top, bottom, left, right
