"""What all results have in common on their way to a person or a program: the console, tables, numbers, JSON.

Imported when there is something to show, never at start-up. What is shown for each command stands in `reports.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 140
"""Columns where stdout is no terminal: a table in a log must not be squeezed to 80."""

FIGURE = re.compile(r"[+\u2212-]?\.?\d[\d.,]*( ?\S{1,4})?$|[-\u2013]?$")
"""A cell of figures: a number, with its unit if it has one, or what stands for none."""


def open_console() -> Console:
    """A console on stdout, as wide as the terminal; where there is none, wide enough for every table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console


def encode_record(record: object) -> str:
    """The record as one line of strict JSON; a number that does not exist is null."""
    return msgspec.json.encode(record, enc_hook=_encode_foreign).decode()


def encode_answer(record: object, version: int) -> str:
    """What ``--json`` prints: the record with the version of its schema, unless it says that itself."""
    answer = simplify_record(record)
    return encode_record(answer if "schema" in answer else answer | {"schema": version})


def simplify_record(record: object) -> Any:
    """The record as a JSON reader gets it: dicts, lists, strings and numbers."""
    return msgspec.json.decode(encode_record(record))


def _encode_foreign(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # numpy's numbers and arrays, without importing numpy
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} has no place in a JSON result")


def format_number(value: float | None, digits: int = 3) -> str:
    """A measured number; a dash where it does not exist; whole numbers with thousands apart."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def format_share(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def show_table(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with words left and figures right; nothing at all without rows."""
    print_table(console, title, build_table(headings, rows))


def build_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The table alone, for whoever sets something beside it."""
    table, cells = Table(box=None, pad_edge=False, header_style="bold"), [tuple(row) for row in rows]
    for place, heading in enumerate(headings):
        figures = place > 0 and all(FIGURE.match(row[place]) for row in cells)
        table.add_column(heading, justify="right" if figures else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def print_table(console: Console, title: str, table: Table) -> None:
    """The table under its title, and an empty line; nothing at all without rows."""
    if table.row_count:
        console.print(Text(title, style="italic"))  # as rich's own title it would be broken to the width of the table
        console.print(table)
        console.print()


def show_line(console: Console, line: str) -> None:
    """A line as it is: no markup, and not broken where stdout is no terminal."""
    console.print(line, markup=False, soft_wrap=True)


def show_tree(console: Console, value: object, indent: int = 0) -> None:
    """A record of any shape: a line for each value, indented under its name."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else [value], 1)
    for name, item in pairs:
        head = f"{'  ' * indent}{name}:"
        if isinstance(item, Mapping | list) and item and not is_flat(item):
            show_line(console, head)
            show_tree(console, item, indent + 1)
        else:
            show_line(console, f"{head} {describe_flat(item)}")


def is_flat(value: Mapping[str, object] | list[object]) -> bool:
    """Whether the value reads well on one line: a short list, or the few fields of a class."""
    items = list(value.values()) if isinstance(value, Mapping) else value
    nested = any(isinstance(item, Mapping) or (isinstance(item, list) and len(item) > 4) for item in items)
    return not nested and len(describe_flat(value)) <= 100


def describe_flat(value: object) -> str:
    """A value on one line: `a, b` for lists, `name b, id 2` for mappings; lists inside them in brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_bracket(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_bracket, value)) or "-"
    return "-" if value is None or value == "" else str(value)


def _bracket(value: object) -> str:
    return f"({describe_flat(value)})" if isinstance(value, list) and value else describe_flat(value)
