"""What the page of a store holds: summary, queue, each case's previews, classes, provenance; as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from adelecli.errors import CaseError
from adelecli.progress import Callback, Progress
from adelecli.reporting.overlays import LEGEND, pick_colour
from adelecli.reporting.pictures import Viewer, find_sources
from adelecli.reporting.previews import Preview, draw_previews
from adelecli.reporting.summaries import BINS, PHRASES, CaseRow, Summary, summarise_store
from adelecli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adelecli.store.collection import Store

PAGE_BYTES = 6000
"""What a case takes in the page without its pictures, at most."""


@dataclass(frozen=True)
class Section:
    """A case with its pictures (none: it was not drawn, and ``note`` says why)."""

    row: CaseRow
    previews: tuple[Preview, ...]
    note: str | None


def describe_store(store: Store, images: Path | None, progress: Callback, max_bytes: int) -> dict[str, Any]:
    """Everything that ``store.html`` prints; pictures take at most ``max_bytes`` with the rest of the page.

    Raises ``InputError`` when ``images`` holds none.
    """
    sources = find_sources(images)
    summary = summarise_store(store)
    sections = _draw_sections(store, summary, sources, progress, max_bytes)
    drawn = sum(bool(section.previews) for section in sections)
    return {
        "title": store.path.name,
        "summary": summary,
        "sections": sections,
        "bins": _label_bins(),
        "colours": {row.name: pick_colour(row.place) for row in summary.classes},
        "legend": LEGEND,
        "phrases": PHRASES,
        "provenance": flatten_record({"store": store.id, "written by": f"adele {__version__}", "run": store.run()}),
        "total": len(summary.cases),
        "drawn": drawn,
        "with_images": bool(sources),
    }


def _draw_sections(
    store: Store, summary: Summary, sources: Mapping[str, Any], progress: Callback, max_bytes: int
) -> list[Section]:
    """Cases in the order of the queue, so that what does not fit is what needs a look least."""
    left = max_bytes - PAGE_BYTES * len(summary.cases)
    sections = []
    for number, row in enumerate(summary.cases, start=1):
        previews, note = (
            _draw_case(store, row, sources.get(row.id)) if left > 0 else ((), "not drawn: the page is full")
        )
        size = sum(preview.size for preview in previews)
        if size > left:
            previews, note, size = (), "not drawn: the page is full", left
        left -= size
        sections.append(Section(row, previews, note))
        progress(Progress("report", number, len(summary.cases), case=row.id))
    return sections


def _draw_case(store: Store, row: CaseRow, source: Any) -> tuple[tuple[Preview, ...], str | None]:
    note = None
    if row.status == "quarantined":
        note = "The refused correction was not stored; the original labels are shown."
    try:
        ids = [int(entry["id"]) for entry in row.classes]
        return draw_previews(Viewer(store, row.id, source), ids), note
    except CaseError as error:
        return (), str(error.fact)


def _label_bins() -> list[str]:
    labels = [f"{low:+.0%} to {high:+.0%}" for low, high in pairwise(BINS)]
    return [f"below {BINS[1]:+.0%}", *labels[1:-1], f"above {BINS[-2]:+.0%}"]


def flatten_record(value: object, name: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested record, one line each."""
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            lines += flatten_record(item, f"{name} · {key}" if name else str(key))
        return lines
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return [(name, "–" if value is None or value == "" else str(value))]
