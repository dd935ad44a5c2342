"""The commands that show a store to a person: `report` and `review`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import adelecli
from adelecli.cli import options
from adelecli.cli.commands import Outcome, command

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from adelecli.progress import Callback


@command(example="adele report cleaned.zarr --images ./images --out cleaned.html")
@options.argument("target")
@options.out("FILE.html", "The page [default: cleaned.html beside cleaned.zarr; report.html in a run folder].")
@options.source_images
def report(target: Path, *, progress: Callback, **given: Any) -> Outcome:
    """Write one HTML file about a store or a run, for reading offline.

    TARGET is a store or a run folder. The page of a store shows the review queue, worst first, each case before and after the
    correction in three planes, and the classes; the page of a run shows curves, onsets and corrections.
    """
    page = adelecli.report(target, progress=progress, **given)
    return Outcome(page, lambda console: _show_page(console, page))


def _show_page(console: Console, page: adelecli.Page) -> None:
    from adelecli.cli.rendering import show_line

    cases = f", {page.cases} cases, {page.drawn} of them drawn" if page.kind == "store" else ""
    show_line(console, f"{page.path}: {page.bytes / 1e6:.1f} MB{cases}")
