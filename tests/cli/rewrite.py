"""Writes anew what is made of the code: `PYTHONPATH=tests:. python tests/cli/rewrite.py`.

The schemas of the package, after an answer has got a new field; the tables of `docs/exit-codes.md`, after a call has come to the tests.
"""

from __future__ import annotations

import json
from pathlib import Path

from exit_cases import draw_table

from adelecli.cli.answers import VERSIONS, build_schema, name_schema

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "adelecli" / "schemas"
PAGE = ROOT / "docs" / "exit-codes.md"
MARK = "<!-- made by tests/cli/rewrite.py from the calls that the tests try -->\n"


def write_schemas() -> None:
    for answer in VERSIONS:
        (SCHEMAS / name_schema(answer)).write_text(json.dumps(build_schema(answer), indent=2) + "\n", encoding="utf-8")


def write_tables() -> None:
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{head}{mark}\n{draw_table()}", encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
    write_tables()
