"""The class table as plain entries (id, name, colour), the form in which it travels beside labels in a store.

What must hold: ``rebuild_table(list_entries(table))`` encodes and decodes as ``table`` does; the ignore label is one of the entries,
so that a viewer shows it under its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adelecli.labels.classes import IGNORE, ClassTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IGNORE_NAME = "ignore"


def list_entries(table: ClassTable) -> list[dict[str, object]]:
    """The class entries (id, name, colour) that the store writes beside labels; the ignore label is one of them."""
    columns = zip(table.ids, table.names, table.colours, strict=True)
    entries: list[dict[str, object]] = [
        {"id": number, "name": name, "colour": colour} for number, name, colour in columns
    ]
    if table.ignore is not None and IGNORE_NAME not in table.names:
        entries.append({"id": table.ignore, "name": IGNORE_NAME, "colour": (128, 128, 128)})
    return entries


def rebuild_table(entries: Sequence[Mapping[str, Any]]) -> ClassTable:
    """The class table of entries that ``list_entries`` made and the store gave back; without an ignore entry, 255 is it."""
    classes = [entry for entry in entries if entry["name"] != IGNORE_NAME]
    ignored = [int(entry["id"]) for entry in entries if entry["name"] == IGNORE_NAME]
    ids = tuple(int(entry["id"]) for entry in classes)
    return ClassTable(
        ids=ids,
        names=tuple(str(entry["name"]) for entry in classes),
        ignore=ignored[0] if ignored else None if IGNORE in ids else IGNORE,
        colours=tuple(tuple(entry["colour"][:3]) for entry in classes),
    )
