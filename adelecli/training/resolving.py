"""From presets, files, options and flags to the settings of a run, and back to TOML.

The tree is written into the run folder in full (``config.toml``) and read back when the run resumes. Unknown keys are errors that
name their path: a misspelt option that is ignored would be a wrong experiment.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING

import msgspec

from adelecli.errors import ConfigError
from adelecli.training.presets import BASELINE, PRESETS
from adelecli.training.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def resolve_settings(
    preset: str | None = None,
    *,
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
    flags: dict[str, object] | None = None,
    baseline: bool = False,
) -> Settings:
    """Settings from preset, file, ``key=value`` overrides and flags; each of them outranks the one before.

    Raises ``ConfigError`` for an unknown preset, an unreadable file, an unknown key (its path is named) or a value out of range.
    """
    from_file = _read_toml(config) if config else {}
    name = preset or str(from_file.get("preset", "adele"))
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}", remedy=f"presets: {', '.join(PRESETS)}")
    layers = [PRESETS[name], from_file, *map(_parse_override, overrides)]
    if baseline:
        layers.append(BASELINE)
    layers.append({key: value for key, value in (flags or {}).items() if value is not None})
    merged: dict[str, object] = {}
    for layer in layers:
        _merge(merged, layer)
    merged["preset"] = name
    return _convert(merged, config)


def read_settings(path: Path) -> Settings:
    """The settings that a run folder's ``config.toml`` holds. Raises ``ConfigError``."""
    return _convert(_read_toml(path), path)


def format_settings(settings: Settings) -> str:
    """The settings as TOML; TOML has no null, so keys whose value is ``None`` are left out."""
    import tomli_w

    values: dict[str, object] = _without_none(msgspec.to_builtins(settings))  # type: ignore[assignment]
    return tomli_w.dumps(values)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no such file", path=path, remedy="name an existing TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"not a readable TOML file ({error})", path=path) from None


def _parse_override(text: str) -> dict[str, object]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"{text!r} is not key=value", remedy="write for instance --set optimiser.lr=0.01")
    try:
        parsed: object = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    assert isinstance(parsed, dict)
    return parsed


def _merge(target: dict[str, object], layer: dict[str, object]) -> None:
    for key, value in layer.items():
        current = target.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            _merge(current, value)
        else:
            target[key] = dict(value) if isinstance(value, dict) else value


def _convert(values: dict[str, object], path: Path | None) -> Settings:
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise _explain(error, path) from None


def _explain(error: msgspec.ValidationError, path: Path | None) -> ConfigError:
    """The library's sentence as one about a setting, with the settings that a misspelt one could have been."""
    message, _, place = str(error).partition(" - at ")
    parent = place.strip("`").removeprefix("$").removeprefix(".")
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is None:
        fact = f"setting {parent}: {message[0].lower()}{message[1:]}" if parent else message
        return ConfigError(fact, path=path, remedy="docs/settings.md tells what each setting takes")
    known = _list_settings(msgspec.to_builtins(Settings()))
    name = f"{parent}.{unknown[1]}".removeprefix(".")
    # A table's name is forgotten as easily as a letter: `lr` for `optimiser.lr`.
    same = [one for one in known if one.rpartition(".")[2] == unknown[1]]
    like = difflib.get_close_matches(name, known, n=3, cutoff=0.85)
    meant = same or like or [one for one in known if parent and one.startswith(f"{parent}.")][:12]
    remedy = f"did you mean {', '.join(meant)}?" if meant else "docs/settings.md lists all settings"
    return ConfigError(f"there is no setting {name!r}", path=path, remedy=remedy)


def _list_settings(values: dict[str, object], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in values.items():
        names += _list_settings(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]
    return names


def _without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
