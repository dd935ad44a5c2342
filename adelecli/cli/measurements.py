"""What `bench` tells a person when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adelecli.cli.rendering import format_number, format_share, show_line, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from adelecli.benchmarking.records import BenchResult, Figure, Row


def show_benchmark(console: Console, result: BenchResult) -> None:
    """The methods with mean and spread, what happened to the labels, where everything lies."""
    table = result.table
    title = f"Held-out cases, {table.noise['family']}, label IoU {format_number(table.measured.get('label_iou'))}"
    models = (
        (
            row.method,
            *(_describe(row.figures.get(name)) for name in ("iou_best", "iou_last_five", "dice_last_five")),
            _gap(row),
        )
        for row in table.rows
    )
    show_table(console, title, ("method", "IoU, best", "IoU, last 5", "Dice, last 5", "gap recovered"), models)
    names = ("error_before", "error_after", "precision", "recall", "harm")
    labels = (
        (row.method, *(_describe(row.figures.get(name)) for name in names))
        for row in table.rows
        if "error_after" in row.figures
    )
    show_table(console, "Training labels", ("method", "error before", "after", "precision", "recall", "harm"), labels)
    show_line(
        console, f"{result.trained} trained, {result.read_back} read back; {result.folder}/{result.files['markdown']}"
    )


def _describe(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return format_number(figure.mean) + ("" if figure.spread is None else f" ± {figure.spread:.3f}")


def _gap(row: Row) -> str:
    return format_share(row.figures["gap"].mean) if "gap" in row.figures else "-"
