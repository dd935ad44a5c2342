"""What a command that treats cases tells a person when it is done: the answer first, then what needs a look.

Every function takes the console and the library's record and only reads it; `findings.py` holds the other commands.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from adelecli.cli.rendering import build_table, format_number, format_share, show_line, show_table
from adelecli.cli.strip import can_draw, show_with_strip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from adelecli.pipeline.conversion import Conversion
    from adelecli.pipeline.corruption import CorruptionReport
    from adelecli.pipeline.records import Report
    from adelecli.pipeline.scores import ErrorRate, Evaluation
    from adelecli.reporting.thumbnails import Thumbnail

    Draw = Callable[[Mapping[str, Sequence[int]]], Sequence[Thumbnail]]

QUEUE = 10
"""How many cases of a list are shown; the record of `--json` and `--report` holds all."""
DRAWN = 3
"""How many cases the strip of thumbnails shows."""


class Fallible(Protocol):
    """A case that may have failed."""

    @property
    def id(self) -> str:
        """The case's id."""

    @property
    def error(self) -> str | None:
        """Why it failed, in one line; nothing when it did not."""


def show_report(console: Console, report: Report, out: Path, draw: Draw | None = None) -> None:
    """How `correct` or `predict` ended: classes over all cases, the cases to look at first, the errors, a summary.

    ``draw`` gives the thumbnails of cases (the ids of each one's classes); it is asked only where the console can show them.
    """
    _show_totals(console, report)
    queue = (
        (
            str(case.rank),
            case.id,
            case.status,
            format_share(case.changed_share),
            format_number(case.mean_confidence),
            "; ".join(case.reasons[:2]) or "-",
        )
        for case in report.review_queue[:QUEUE]
    )
    table = build_table(("rank", "case", "status", "changed", "confidence", "why"), queue)
    largest = _find_largest(report) if draw is not None and can_draw(console) else {}
    show_with_strip(console, "Look at these first", table, draw(largest) if draw is not None and largest else ())
    _show_failures(console, report.cases)
    ended = Counter(case.status for case in report.cases)
    summary = ", ".join(f"{count} {status}" for status, count in ended.items()) or "no cases"
    where = "nothing was written (--dry-run)" if report.run.options.get("dry_run") else f"in {out}"
    skipped, slices = (sum(getattr(case, name) or 0 for case in report.cases) for name in ("skipped_slices", "slices"))
    if skipped:
        show_line(console, f"the network was not asked about {skipped} of {slices} slices: no label could change there")
    seconds = report.run.elapsed or sum(report.run.seconds.values())
    show_line(console, f"{summary}, {where}; {seconds:.1f} s on {report.run.device_used}")


def _find_largest(report: Report) -> dict[str, tuple[int, ...]]:
    """The published cases in which the largest share of a class changed, each with the ids of its classes; none after a dry run."""
    changed = [case for case in report.cases if case.status == "corrected" and not report.run.options.get("dry_run")]
    changed.sort(key=lambda case: (-(case.changed_share or 0.0), case.id))
    return {case.id: tuple(entry.id for entry in case.classes[1:]) for case in changed[:DRAWN]}


def _show_totals(console: Console, report: Report) -> None:
    """Voxels of each foreground class over all cases that were published with a result."""
    predicted = report.run.command == "predict"
    fields = ("after",) if predicted else ("before", "after", "added", "removed")
    totals: dict[str, Counter[str]] = {}
    for case in report.cases:
        for entry in case.classes[1:] if case.status != "quarantined" else ():
            counts = totals.setdefault(entry.name, Counter())
            counts.update({field: getattr(entry, f"voxels_{field}") for field in fields})
    headings = ("class", "voxels") if predicted else ("class", "voxels before", "after", "added", "removed")
    rows = ((name, *(format_number(counts[field]) for field in fields)) for name, counts in totals.items())
    show_table(console, "All cases", headings, rows)


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Scores per class, the worst cases, the label error, what could not be compared."""
    rows = (
        (
            row.name,
            str(row.cases),
            *map(format_number, (row.dice, row.iou)),
            *(format_number(distance, 2) for distance in (row.hd95, row.assd)),
            format_share(row.relative_volume_difference),
        )
        for row in evaluation.classes
    )
    unit = "/".join(sorted({case.unit for case in evaluation.cases if case.error is None}))
    headings = ("class", "cases", "Dice", "IoU", f"HD95 {unit}", f"ASSD {unit}", "volume difference")
    show_table(console, "Means over the cases", headings, rows)
    worst = sorted((case for case in evaluation.cases if case.dice is not None), key=lambda case: case.dice or 0.0)
    lowest = ((case.id, format_number(case.dice), format_number(case.iou)) for case in worst[:QUEUE])
    show_table(console, "Lowest Dice", ("case", "Dice", "IoU"), lowest)
    if evaluation.label_error is not None:
        show_line(console, describe_error_rate(evaluation.label_error))
    _show_failures(console, evaluation.cases)
    for what, ids in (("no prediction", evaluation.missing), ("no reference", evaluation.spare)):
        if ids:
            show_line(console, f"{what}: {', '.join(ids[:QUEUE])}{', ...' if len(ids) > QUEUE else ''}")
    compared = sum(case.error is None for case in evaluation.cases)
    means = f"mean Dice {format_number(evaluation.dice)}, mean IoU {format_number(evaluation.iou)}"
    show_line(console, f"{compared} cases compared; {means}")


def describe_error_rate(rate: ErrorRate) -> str:
    """How wrong labels were and are, in one line."""
    ratio = "" if rate.broken_per_fixed is None else f" ({rate.broken_per_fixed:.2f} broken for each mended)"
    return (
        f"label error {format_share(rate.error_before)} before, {format_share(rate.error_after)} after; "
        f"of {rate.changed:,} changed voxels {rate.fixed:,} were mended and {rate.broken:,} broken{ratio}"
    )


def show_corruption(console: Console, corruption: CorruptionReport, out: Path) -> None:
    """The measured strength of the noise, per class and over all."""
    rows = ((name, format_number(iou)) for name, iou in corruption.class_iou.items())
    show_table(
        console, f"Noise {corruption.noise}, seed {corruption.seed}", ("class", "IoU with the clean labels"), rows
    )
    _show_failures(console, corruption.cases, told=False)
    written = sum(case.error is None for case in corruption.cases)
    measures = f"mean IoU {format_number(corruption.mean_iou)}, label error {format_share(corruption.label_error)}"
    show_line(console, f"{written} masks in {out}; {measures}")


def show_conversion(console: Console, conversion: Conversion) -> None:
    """How many files were written, and what could not be."""
    _show_failures(console, conversion.cases)
    files = sum(len(case.files) for case in conversion.cases)
    cases = sum(case.error is None for case in conversion.cases)
    show_line(console, f"{files} files of {cases} cases ({conversion.which}) in {conversion.out}")


def _show_failures(console: Console, cases: Iterable[Fallible], *, told: bool = True) -> None:
    """Every failed case with its error; on a terminal, where each was ``told`` when it failed, no more than fit on a screen."""
    failed = [case for case in cases if case.error is not None]
    shown = failed[:QUEUE] if told and console.is_terminal else failed
    for case in shown:
        show_line(console, f"failed: {case.id}: {case.error}")
    if len(shown) < len(failed):
        show_line(console, f"and {len(failed) - len(shown)} more failed, each told above; --json holds all")
