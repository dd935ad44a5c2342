"""``noise.json`` of a run folder: how noisy its labels looked before anything was corrected. Read without torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from adelecli.errors import InputError
from adelecli.labels.excess import Noise
from adelecli.training import runfolder

if TYPE_CHECKING:
    from pathlib import Path

NAME = "noise.json"
_MAY_BE_NOTHING = frozenset({"threshold", "bias", "restoration"})


def write_noise(folder: Path, noise: Noise) -> None:
    """Write it atomically. Raises ``OutputError``."""
    runfolder.write_json(folder / NAME, _without_nan(msgspec.to_builtins(noise)))


def read_noise(folder: Path) -> Noise | None:
    """What was measured in the run ``folder``; ``None`` where nothing was. Raises ``InputError`` for a damaged file."""
    if not (folder / NAME).exists():
        return None
    try:
        return msgspec.convert(_with_nan(runfolder.read_json(folder / NAME)), Noise)
    except msgspec.ValidationError as error:
        raise InputError(f"is damaged ({error})", path=folder / NAME, remedy="remove it and resume") from None


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: it is written as null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    """The inverse; what may truly be nothing stays ``None``."""
    if isinstance(value, dict):
        return {
            key: item if item is None and key in _MAY_BE_NOTHING else _with_nan(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
