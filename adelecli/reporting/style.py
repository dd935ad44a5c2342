"""One look for all figures: colours that colour-blind readers can tell apart, plain axes, files that never change by chance.

matplotlib is imported inside the functions, always with the Agg canvas and without pyplot: no display is needed and no global
state is touched, so figures may be drawn in any thread of a host program. What must hold: the same numbers give the same bytes.
"""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adelecli.replacement import open_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito, "Color Universal Design" (2008), the dark ones: readable on white.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#AA5C8F", "#E69F00", "#56B4E9"
INK, GREY, PALE = "#22272E", "#7A828C", "#E3E6EA"

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
}


@contextmanager
def open_figure(path: Path, size: tuple[float, float], *, background: str = "white") -> Iterator[Figure]:
    """A figure of ``size`` (width, height) in inches, written as PNG to ``path`` when the block ends well; folders are made.

    Raises OutputError when the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    with mpl.rc_context(_RC):
        figure = NewFigure(figsize=size, facecolor=background, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        _publish(figure, path, background)


def _publish(figure: Figure, path: Path, background: str) -> None:
    """Write beside, then rename: a reader sees the old picture or the new one."""
    with open_beside(path) as file:
        figure.savefig(file, format="png", dpi=130, facecolor=background, metadata={"Software": "adele"})


def lay_panels(figure: Figure, count: int, *, columns: int = 4) -> list[Axes]:
    """``count`` panels in rows of at most ``columns``, all with the same axes; the places left over stay empty."""
    across = min(columns, max(1, count))
    down = -(-count // across)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for spare in panels[count:]:
        spare.remove()
    for panel in panels[max(0, count - across) : count]:
        panel.tick_params(labelbottom=True)
    return panels[:count]


def plan_size(count: int, *, columns: int = 4, panel: tuple[float, float] = (3.0, 2.7)) -> tuple[float, float]:
    """Inches (width, height) that ``count`` panels need, with room for a title and a legend."""
    across = min(columns, max(1, count))
    return max(6.4, panel[0] * across), panel[1] * -(-count // across) + 0.9


def add_heading(figure: Figure, title: str, note: str = "") -> None:
    """A title at the upper left and, at the foot, a line that says how to read the figure."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    if note:
        lines = textwrap.fill(note, int(15.5 * figure.get_figwidth()))  # characters of this size to the inch
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=9, color=GREY)
