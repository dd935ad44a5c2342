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
from adelecli.reporting.summaries import BINS, PHRASES, CaseRow, ClassRow, Summary, explain_status, summarise_store
from adelecli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from adelecli.store.collection import Store

PAGE_BYTES = 6000
"""What a case takes in the page without its pictures, at most."""
FEW = 8
"""Classes, or reasons, that are read at a glance; of more those that changed most are shown first, and the others on demand."""
NAMED = 12
"""Images without a case that are named; of more the number is told."""


@dataclass(frozen=True)
class Section:
    """A case with its pictures (none: it was not drawn), and notes that say how the figures are to be read.

    ``classes``: the records of the classes that it has; ``others``: those that changed less than ``FEW`` others.
    """

    row: CaseRow
    previews: tuple[Preview, ...]
    notes: tuple[str, ...]
    classes: tuple[Mapping[str, Any], ...] = ()
    others: tuple[Mapping[str, Any], ...] = ()


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
        "colours": list_colours(summary),
        "busiest": find_busiest(summary.classes),
        "few": FEW,
        "missing": sorted(set(sources) - {row.id for row in summary.cases}),
        "named": NAMED,
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
    trusted = set((store.run().get("options") or {}).get("trusted") or ())
    sections = []
    for number, row in enumerate(summary.cases, start=1):
        full = "not drawn: the page is full"
        previews, note = _draw_case(store, row, sources.get(row.id)) if left > 0 else ((), full)
        size = sum(preview.size for preview in previews)
        if size > left:
            previews, note, size = (), full, left
        left -= size
        notes = (explain_status(row, trusted=row.id in trusted), note)
        sections.append(Section(row, previews, tuple(filter(None, notes)), *_split_classes(row)))
        progress(Progress("report", number, len(summary.cases), case=row.id))
    return sections


def _draw_case(store: Store, row: CaseRow, source: Any) -> tuple[tuple[Preview, ...], str | None]:
    try:
        ids = [int(entry["id"]) for entry in row.classes]
        return draw_previews(Viewer(store, row.id, source), ids), None
    except CaseError as error:
        return (), str(error.fact)


def _split_classes(row: CaseRow) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """The records of the classes that the case has or had: those that changed most, and the others."""
    held = [entry for entry in row.classes if entry["voxels_before"] or entry["voxels_after"] or entry["voxels_added"]]
    if len(held) <= FEW:
        return tuple(held), ()
    ranked = sorted(held, key=lambda entry: -int(entry["voxels_added"]) - int(entry["voxels_removed"]))
    return tuple(ranked[:FEW]), tuple(ranked[FEW:])


def list_colours(summary: Summary) -> dict[str, str]:
    """The colour of each class, as the pictures have it: by its place among the classes of its case."""
    colours: dict[str, str] = {}
    for row in summary.cases:
        for place, entry in enumerate(row.classes):
            colours.setdefault(str(entry["name"]), pick_colour(place))
    return colours


def find_busiest(classes: Sequence[ClassRow], count: int = 5) -> list[tuple[str, float]]:
    """The classes of which most was added and removed, each with that as a share of the volume before."""
    shares = [(row.name, (row.added + row.removed) / row.before) for row in classes if row.before]
    return sorted((pair for pair in shares if pair[1]), key=lambda pair: -pair[1])[:count]


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
