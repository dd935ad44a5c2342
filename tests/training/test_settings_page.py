"""docs/settings.md is true: every key is there with its default, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from adelecli.training.presets import PRESETS
from adelecli.training.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def flatten(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return flat


def test_every_setting_is_documented_with_its_default() -> None:
    """The table's keys and defaults are those of the code."""
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `?([^|`]+)`? \|", PAGE.read_text(), re.MULTILINE))
    settings = flatten(msgspec.to_builtins(Settings()))
    assert rows.keys() == settings.keys()
    for key, value in settings.items():
        shown = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
        assert rows[key] == shown, key


def test_what_the_default_preset_sets_otherwise_stands_in_its_row() -> None:
    """And nothing else does: whoever trains without options gets these values, not the column's."""
    found = re.findall(r"^\| `([\w.]+)` \|.*`adele`: `([^`]+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(found) == {key: json.dumps(value) for key, value in flatten(PRESETS["adele"]).items()}
