"""Decisions as a table for spreadsheets. What must hold: no cell can become a formula there, whatever a note or a class is called."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from adelecli.replacement import refuse_stranger, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from adelecli.store.decisions import Decision

COLUMNS = ("time", "case", "class", "decision", "actor", "note")


def format_decisions(entries: Iterable[Decision]) -> str:
    """CSV (RFC 4180) with one line for each decision, oldest first; ``class`` is empty for a whole case."""
    buffer = io.StringIO()
    table = csv.writer(buffer)
    table.writerow(COLUMNS)
    for entry in entries:
        cells = (entry.time, entry.case, entry.part or "", entry.word, entry.actor or "", entry.note or "")
        table.writerow([disarm_cell(cell) for cell in cells])
    return buffer.getvalue()


def disarm_cell(text: str) -> str:
    """``text`` so that a spreadsheet takes it as text (OWASP, "CSV Injection").

    >>> disarm_cell("=1+1")
    "'=1+1"
    """
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def write_decisions(path: Path, entries: Iterable[Decision]) -> int:
    """Write the table to ``path``, whole or not at all; returns the number of decisions.

    Raises ``OutputError``, also where a file of another kind would be replaced.
    """
    held = tuple(entries)
    refuse_stranger(path, ",".join(COLUMNS).encode(), "table of decisions", "name another file")
    write_text(path, format_decisions(held), remedy="name another file", parents=False)
    return len(held)
