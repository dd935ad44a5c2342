"""The moving part of the terminal: a bar for each stage and, while training, what each class has learnt so far.

The only module that keeps a rich live display; `display.py` imports it when the first step arrives on a terminal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from adelecli.cli.epochs import CURVE, describe_progress, list_classes

if TYPE_CHECKING:
    from rich.progress import TaskID

    from adelecli.progress import Progress

FINISHED = 6  # stages that stay in sight when they are done
BLOCKS = " ▁▂▃▄▅▆▇█"


class LivePanel:
    """Bars, one a stage, and under them the table of the last epoch where the work is training."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._curves: dict[tuple[str, str], list[float]] = {}
        self._live = Live(self._bars, console=self._console, transient=True, refresh_per_second=4)
        self._live.start()

    def show(self, event: Progress) -> None:
        """Advance the bar of the event's stage; an event that closes an epoch redraws the table."""
        if event.notice is None:  # a notice is a line of its own, not a stage
            self._advance(event.stage, event.done, event.total)
        epoch, epochs = event.detail.get("epoch"), event.detail.get("epochs")
        if isinstance(epoch, int) and isinstance(epochs, int) and event.total:
            # a step within an epoch moves the bar of the whole training too, so that its time left is known early
            self._advance(event.stage.removesuffix("epoch") + "train", epoch - 1 + event.done / event.total, epochs)
        if CURVE in event.detail:
            self._live.update(Group(self._bars, Text(describe_progress(event)), self._draw_epoch(event)))

    def _advance(self, stage: str, done: float, total: int) -> None:
        task = self._tasks.get(stage)
        if task is None:
            self._hide_finished()
            task = self._tasks[stage] = self._bars.add_task(stage, total=total or None)
        elif done < self._bars.tasks[task].completed:
            self._bars.reset(task)  # the next epoch or file of the same stage: its time left starts anew
        self._bars.update(task, completed=done, total=total or None)

    def _hide_finished(self) -> None:
        """Keep the last few finished stages in sight: a benchmark has hundreds."""
        finished = [bar for bar in self._bars.tasks if bar.finished and bar.visible]
        for bar in finished[:-FINISHED]:
            self._bars.update(bar.id, visible=False)

    def say(self, line: str) -> None:
        """Print a line above the moving part."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Stop drawing and leave the terminal as it was."""
        self._live.stop()

    def _draw_epoch(self, event: Progress) -> Table:
        """Per class: its IoU now, the curve so far, and the epoch at which memorisation set in."""
        table = Table(box=None)
        for heading in ("class", "IoU", "curve", "onset"):
            table.add_column(heading, justify="left" if heading != "IoU" else "right")
        for name, iou, onset in list_classes(event.detail):
            curve = self._curves.setdefault((event.stage, name), [])
            curve.append(math.nan if iou is None else iou)
            mark = "" if onset is None else f"[bold]● epoch {onset}: correcting[/bold]"
            table.add_row(name, "-" if iou is None else f"{iou:.3f}", draw_curve(curve), mark)
        return table


def draw_curve(values: list[float], width: int = 40) -> str:
    """A line of blocks, 0 to 1, of the last `width` values; a value that is not a number is a gap.

    >>> draw_curve([0.0, 0.5, 1.0])
    '▁▅█'
    """
    return "".join(" " if math.isnan(value) else BLOCKS[1 + min(7, int(value * 8))] for value in values[-width:])
