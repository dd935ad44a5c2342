"""The strip of thumbnails that ends `adele correct` on a terminal: two cells a character, upper half over lower half.

What must hold: where the terminal cannot show it (a pipe, no colours or only sixteen, an encoding without half blocks) nothing is
drawn, and nothing is read for it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from adelecli.cli.rendering import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from adelecli.reporting.thumbnails import Thumbnail

HALF = "▀"
BETWEEN = 2
"""Columns between pictures, and between the table and the strip."""
HEADS = ("before", "after", "difference")


def can_draw(console: Console) -> bool:
    """Whether half blocks in many colours would be seen."""
    many = console.color_system in {"truecolor", "256"} and not console.no_color
    return console.is_terminal and many and console.encoding.lower().startswith("utf")


def draw_cells(cells: Any) -> Text:
    """Cells ``[H, W, 3]`` (0..255, H even) as H / 2 lines of half blocks."""
    text = Text(no_wrap=True)
    for top, bottom in zip(cells[::2].tolist(), cells[1::2].tolist(), strict=True):
        for upper, lower in zip(top, bottom, strict=True):
            text.append(HALF, style=f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
        text.append("\n")
    text.rstrip()
    return text


def build_strip(thumbnails: Sequence[Thumbnail]) -> list[Table]:
    """A block a case: its id, below it before, after and difference beside each other."""
    blocks = []
    for one in thumbnails:
        pictures = (one.before, one.after, one.difference)
        block = Table.grid(padding=(0, BETWEEN, 0, 0))
        block.title, block.title_justify, block.title_style = Text(one.case), "left", "bold"
        for picture in pictures:
            block.add_column(width=max(picture.shape[1], *map(len, HEADS)), no_wrap=True)
        block.add_row(*map(draw_cells, pictures))
        block.add_row(*(Text(head, style="dim") for head in HEADS))
        blocks.append(block)
    return blocks


def describe_colours() -> Text:
    """What the colours of the difference mean."""
    from adelecli.reporting.overlays import LEGEND

    return Text("   ").join(Text(f"■ {name}", style=colour) for name, colour in LEGEND)


def show_with_strip(console: Console, title: str, table: Table, thumbnails: Sequence[Thumbnail]) -> None:
    """The table, and beside it the strip; below it where the terminal is too narrow for both."""
    blocks = build_strip(thumbnails)
    wide = Measurement.get(console, console.options, table).maximum
    strip = max((Measurement.get(console, console.options, block).maximum for block in blocks), default=0)
    beside = wide + BETWEEN + strip <= console.width
    if beside and blocks:
        both = Table.grid(padding=(0, BETWEEN, 0, 0))
        both.add_row(table, Group(*blocks, describe_colours()))
        print_table(console, title, both)
        return
    print_table(console, title, table)
    if blocks:
        console.print(Columns(blocks, padding=(1, BETWEEN)))
        console.print(describe_colours())
        console.print()
