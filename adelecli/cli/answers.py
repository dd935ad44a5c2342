"""What each command answers with `--json`, as a JSON Schema: the record's type, and the version of its meaning.

The schemas are files of the package (`adelecli/schemas/<command>-<version>.schema.json`), because other programs read them without
Python; a test holds each file to what this module makes of the types. A field may be added under the same version; a removed
field or a changed meaning needs a new one. Imported when an answer is printed; the rooms that hold the types only for a schema.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from typing import Any

import msgspec

from adelecli.cli.eventlog import LogLine

TYPES = {
    "demo": "adelecli.showcase.results:DemoResult",
    "train": "adelecli.training.trainer:TrainResult",
    "export": "adelecli.training.exporter:ExportResult",
    "check": "adelecli.pipeline.checkup:Checkup",
    "correct": "adelecli.pipeline.records:Report",
    "predict": "adelecli.pipeline.records:Report",
    "evaluate": "adelecli.pipeline.scores:Evaluation",
    "verify": "adelecli.pipeline.verification:Verification",
    "revert": "adelecli.pipeline.reversion:Reversion",
    "info": "adelecli.pipeline.description:Description",
    "report": "adelecli.reporting.pages:Page",
    "review": "adelecli.reviewing.serving:Review",
    "convert": "adelecli.pipeline.conversion:Conversion",
    "corrupt": "adelecli.pipeline.corruption:CorruptionReport",
    "bench": "adelecli.benchmarking.records:BenchResult",
}
"""Command -> module and type of its record."""

VERSIONS = dict.fromkeys((*TYPES, "error", "log"), 1)
"""Command (or `error`, what a failing `--json` call prints; or `log`, a line of `--log-json`) -> version of its schema."""

CODES = (1, 2, 3, 5, 6, 7, 8, 130)
"""The exit codes that an error object may hold; 0 and 4 are those of answers."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def name_schema(answer: str) -> str:
    """The name of the file below `adelecli/schemas/`."""
    return f"{answer}-{VERSIONS[answer]}.schema.json"


def build_schema(answer: str) -> dict[str, Any]:
    """The JSON Schema of what `answer` (a command, `error` or `log`) prints."""
    head = {"$schema": DIALECT, "title": f"adele {answer} --json"}
    if answer == "error":
        fields = {"error": {"type": "string"}, "code": {"enum": list(CODES)}}
        return head | {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    if answer == "log":
        described = msgspec.json.schema(LogLine)
        return head | {"title": "a line of --log-json"} | described
    module, _, name = TYPES[answer].partition(":")
    described = msgspec.json.schema(getattr(import_module(module), name), schema_hook=_describe_foreign)
    definitions = described.pop("$defs")
    version = {"properties": {"schema": {"const": VERSIONS[answer]}}, "required": ["schema"]}
    return head | described | {"type": "object"} | version | {"$defs": definitions}


def _describe_foreign(kind: type) -> dict[str, Any]:
    """What `encode_record` makes of types that JSON does not have: paths are strings, anything is anything."""
    kinds = ["string"] if issubclass(kind, PurePath) else ["object", "array", "string", "number", "boolean", "null"]
    return {"type": kinds[0] if len(kinds) == 1 else kinds}
