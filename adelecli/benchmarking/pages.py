"""``bench.md``: the tables for a person, one section for each noise and end of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adelecli.benchmarking.records import CeilingRecord, Figure, Row, Table

MODEL = {
    "iou_best": "IoU, best", "iou_last": "IoU, last", "iou_last_five": "IoU, last five", "dice_best": "Dice, best",
    "dice_last": "Dice, last", "dice_last_five": "Dice, last five", "gap": "gap recovered", "gap_worst_class": "worst class",
    "learnt_spread": "learnt, first to last", "steps": "steps", "seconds_per_epoch": "s/epoch", "seconds": "s",
    "peak_memory_mb": "peak MB",
}  # fmt: skip
"""Columns of the first table: figure -> heading."""
LABELS = {
    "error_before": "error before", "error_after": "after", "precision": "precision", "recall": "recall", "fixed": "fixed",
    "broken": "broken", "broken_per_fixed": "broken/fixed", "band_error_before": "3 mm: before", "band_error_after": "3 mm: after",
    "removed": "of the removable", "harm": "harm", "rank_correlation": "Spearman", "found": "in first fifth",
}  # fmt: skip
"""Columns of the second table."""
WHOLE = {"steps", "seconds", "fixed", "broken", "peak_memory_mb"}
"""Figures without digits after the point."""

HOW = """Every method: the same network, optimiser, steps, slices and seed; noise in training masks only, scores on held-out cases against
clean masks. `noisy` is scored with the network itself, every other row with the network that it names; `mean ± standard deviation` over
the seeds. Gap recovered: (method - `noisy`) / (`clean` - `noisy`) on the last five epochs' IoU, within each seed. Demand a gain over
`ema`, not only over `noisy`. Label error: wrong voxels per voxel of true or noisy foreground, on the slices that were learnt from;
of the removable: relative to what the noise's exact posterior removes; harm: changed voxels per foreground voxel of cases
without noise. A class that was never learnt (`-`) is a cold start and says nothing about noise:
raise `loss.dice_steps` for all methods."""


def format_page(tables: Sequence[Table]) -> str:
    """All tables as one Markdown page."""
    return "\n\n".join(["# Benchmark", HOW, *map(format_table, tables)]) + "\n"


def format_table(table: Table) -> str:
    """One section: what was measured, the noise's strength and ceiling, and its tables."""
    options = ", ".join(f"{name} {value}" for name, value in table.noise.items() if name != "family" and value != [])
    end = f"{table.slices_per_case} slices per case" if table.slices_per_case else "all slices"
    strength = "; ".join(f"{name} {_number(value)}" for name, value in table.measured.items())
    facts = [
        f"## {table.noise['family']}, {end}",
        (
            f"{options or 'no options'}; measured: {strength}. {table.epochs} epochs, seeds {', '.join(map(str, table.seeds))}, "
            f"{table.device}{'; ' + ', '.join(f'`{item}`' for item in table.settings) if table.settings else ''}."
        ),
        _describe_ceiling(table.ceiling),
        _draw("held-out cases", MODEL, table.rows),
        _draw("training labels", LABELS, [row for row in table.rows if "error_after" in row.figures]),
        _draw_classes(table),
        "\n".join(f"* `{row.method}` ({row.network}): {row.summary}" for row in table.rows),
        "\n".join(f"![{path.rpartition('/')[2].partition('.')[0]}]({path})" for path in table.plots),
    ]
    return "\n\n".join(fact for fact in facts if fact)


def _describe_ceiling(ceiling: CeilingRecord | None) -> str:
    if ceiling is None:
        return ""
    rates = zip(ceiling.taus, ceiling.precision, ceiling.recall, ceiling.error_after, strict=True)
    tried = "; ".join(
        f"tau {tau:g}: {_number(precision)} / {_number(recall)} -> {_number(error)}"
        for tau, precision, recall, error in rates
    )
    return (
        f"Ceiling of the noise ({ceiling.cases} cases), label error {_number(ceiling.error_before)}, precision / recall -> error of its "
        f"exact posterior: {tried}; foreground IoU of the posterior's argmax {_number(ceiling.foreground_iou)}."
    )


def _draw(title: str, columns: dict[str, str], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    cells = ([row.method, *(_figure(row.figures.get(key), key in WHOLE) for key in columns)] for row in rows)
    return _lay_out([title, *columns.values()], cells)


def _draw_classes(table: Table) -> str:
    """Per class the last five epochs' IoU, its share of the gap, the epoch at which it was learnt, its onset."""
    headings = [f"{name}: {what}" for name in table.classes for what in ("IoU", "gap", "learnt", "onset")]
    keys = [f"{what}:{name}" for name in table.classes for what in ("iou", "gap", "learnt", "onset")]
    rows = ([row.method, *(_figure(row.figures.get(key)) for key in keys)] for row in table.rows)
    return _lay_out(["class by class", *headings], rows)


def _lay_out(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---", *("---:" for _ in headings[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(figure: Figure | None, whole: bool = False) -> str:
    if figure is None or figure.mean is None:
        return "-"
    digits = 0 if whole else 3
    spread = "" if figure.spread is None else f" ± {figure.spread:.{digits}f}"
    return f"{figure.mean:.{digits}f}{spread}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
