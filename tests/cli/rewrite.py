"""Writes the schemas of the package anew: `python tests/cli/rewrite.py`, after an answer has got a new field."""

from __future__ import annotations

import json
from pathlib import Path

from adelecli.cli.answers import VERSIONS, build_schema, name_schema

SCHEMAS = Path(__file__).parents[2] / "adelecli" / "schemas"


def write_schemas() -> None:
    for answer in VERSIONS:
        (SCHEMAS / name_schema(answer)).write_text(json.dumps(build_schema(answer), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
