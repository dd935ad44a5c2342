"""The commands that show a store to a person: `report` and `review`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

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


@command(example="adele review cleaned.zarr --images ./images")
@options.argument("store")
@options.source_images
@click.option("--port", type=int, metavar="N", help="Port on 127.0.0.1 [default: a free one].")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser of this machine.")
@click.option(
    "--export", type=options.FILE, metavar="FILE.csv", help="Write the decisions made so far there, and serve nothing."
)
def review(store: Path, *, progress: Callback, **given: Any) -> Outcome:
    """Accept or reject corrections case by case, worst first.

    Serves a page on this machine alone, at an address that works once. A rejected case gets its original labels back at once; every
    decision is kept beside the store.
    """
    result = adelecli.review(store, progress=progress, **given)
    return Outcome(result, lambda console: _show_review(console, result))


def _show_review(console: Console, result: adelecli.Review) -> None:
    from adelecli.cli.rendering import show_line

    for what, counts in (("cases", result.cases), ("classes of cases", result.classes)):
        if counts:
            show_line(console, f"{what}: {', '.join(f'{count} {word}' for word, count in counts.items())}")
    where = f", written to {result.exported}" if result.exported else ""
    show_line(console, f"{result.decisions} decisions about {result.store}{where}")
