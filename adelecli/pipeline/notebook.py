"""How results show themselves in a notebook: a line and a small table, in HTML that no value can break out of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def format_answer(command: str, summary: str, names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The answer of ``adele COMMAND`` as HTML; ``rows`` are the cells below ``names``, escaped here; without rows there is no table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f"<p><b>adele {escape(command)}</b>: {summary}</p>{table}"
